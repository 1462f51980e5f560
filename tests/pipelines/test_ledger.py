import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.experiments import ledger

ROOT = Path(__file__).parents[2]


def entry(seed=1, **more):
    values = {
        "dataset": "beauty",
        "model": "s4rec",
        "config": "s4rec_beauty",
        "settings": {"alpha": 0.1, "samples": "prefix"},
        "variant": "main",
        "seed": seed,
        "valid": {"HR@20": 0.25},
        "test": {"HR@20": 0.125, "head/HR@20": None},
        "epochs": 16,
        "minutes": 41.5,
        "machine": "a machine",
        "code_version": "abc",
        "data_fingerprint": "f00",
        "analysis": {},
    }
    return values | more


def test_a_line_has_the_fields_in_their_order(tmp_path):
    path = tmp_path / "results" / "runs.jsonl"
    assert ledger.append(path, dict(reversed(entry().items())))
    content = path.read_text()
    assert content.endswith("}\n") and content.count("\n") == 1
    assert list(json.loads(content).items()) == list(entry().items())
    assert ledger.read(path) == [entry()]


def test_the_same_run_comes_once_whatever_it_gave(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert ledger.append(path, entry())
    settings = {"samples": "prefix", "alpha": 0.1}
    again = entry(settings=settings, epochs=3, machine="another", code_version="def")
    assert not ledger.append(path, again)
    for field, other in {
        "dataset": "toys",
        "model": "sasrec",
        "config": "x",
        "settings": {},
        "variant": "without_gr",
        "seed": 2,
        "data_fingerprint": "f01",
    }.items():
        assert ledger.append(path, entry(**{field: other})), field
        assert ledger.key(entry(**{field: other})) != ledger.key(entry())
    assert len(ledger.read(path)) == 8


def test_keys_are_file_names_and_can_be_read():
    name = ledger.key(entry(variant="num_intents=32", seed=3))
    assert name.startswith("beauty-s4rec-s4rec_beauty-num_intents=32-seed3-")
    assert "/" not in ledger.key(entry(config="../a b"))


def test_a_line_without_its_end_is_dropped(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger.append(path, entry(1))
    whole = path.read_bytes()
    path.write_bytes(whole + json.dumps(entry(2)).encode()[:50])
    assert ledger.read(path) == [entry(1)]
    assert ledger.append(path, entry(3))
    assert ledger.read(path) == [entry(1), entry(3)]
    assert path.read_bytes().startswith(whole)


def test_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger.append(path, entry())
    with path.open("a") as stream:
        stream.write('{"dataset": "beauty"}\n')
    with pytest.raises(ledger.LedgerError, match=r"line 2 must have .*'dataset'"):
        ledger.read(path)
    path.write_text("<<<<<<< HEAD\n")
    with pytest.raises(ledger.LedgerError, match=r"line 1 is no JSON .*<<< HEAD"):
        ledger.append(path, entry())
    assert path.read_text() == "<<<<<<< HEAD\n"


def test_a_metric_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError):
        ledger.append(tmp_path / "runs.jsonl", entry(valid={"HR@20": float("nan")}))
    assert not (tmp_path / "runs.jsonl").exists()


def test_processes_side_by_side_lose_no_line(tmp_path):
    path = tmp_path / "runs.jsonl"
    code = (
        "import json, sys; from pathlib import Path\n"
        "from pipelines.experiments import ledger\n"
        "line = json.loads(sys.argv[2])\n"
        "for seed in range(25):\n"
        "    ledger.append(Path(sys.argv[1]), line | {'seed': seed % 20,"
        " 'variant': sys.argv[3] if seed < 15 else 'shared'})\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), json.dumps(entry()), name], cwd=ROOT
        )
        for name in ("a", "b", "c")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    runs = {(line["variant"], line["seed"]) for line in ledger.read(path)}
    shared = {("shared", seed % 20) for seed in range(15, 25)}
    assert runs == {(name, seed) for name in "abc" for seed in range(15)} | shared
    assert len(ledger.read(path)) == 45 + 10
