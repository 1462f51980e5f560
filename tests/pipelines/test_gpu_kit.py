"""The kit for a GPU machine: what is in it, its command, and what comes back."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import small_datasets
from pipelines import gpu_kit
from pipelines.experiments import __main__ as experiments
from pipelines.experiments import ledger
from s4rec_tf import spec

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "pipelines" / "gpu_run.sh"
PYTHON = ROOT / ".cache" / "gpu-kit-python" / "bin" / "python"
QUEUE = """
- dataset: beauty
  model: sasrec
  settings: {epochs: 2, dim: 8, num_layers: 1, max_length: 6, batch_size: 32}
  seeds: [1, 2, 3]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kit") / "data"
    folder.mkdir()
    rows = small_datasets.markov_sequences(60, 12, seed=2)
    small_datasets.write_dataset(folder / "beauty", rows, 12)
    return folder


def make_kit(data, output, *flags):
    return gpu_kit.main(
        ["--data", str(data), "--output", str(output), "--datasets", "beauty", *flags]
    )


def gpu_run(*arguments, python=sys.executable):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [str(SCRIPT), *map(str, arguments)],
        cwd=ROOT,
        env=environment | {"PYTHON": str(python)},
        capture_output=True,
        text=True,
    )


def line(seed):
    values = dict.fromkeys(ledger.FIELDS, "x")
    return values | {"settings": {}, "seed": seed, "valid": {}, "test": {}}


def keep(path, entry, ranks=(1, 2)):
    ledger.append(path, entry)
    file = ledger.ranks_file(path, entry)
    file.parent.mkdir(exist_ok=True)
    np.savez(file, ranks=np.asarray(ranks))


def test_the_kit_holds_the_data_sets_as_files(data, tmp_path, capsys):
    assert make_kit(data, tmp_path / "kit", "--wheels") == 0
    assert [path.name for path in (tmp_path / "kit/data").iterdir()] == ["beauty.npz"]
    with np.load(tmp_path / "kit/data/beauty.npz", allow_pickle=False) as stored:
        fingerprint = str(stored["fingerprint"])
    assert fingerprint == spec.DatasetDir(data / "beauty").fingerprint()
    assert "0.0 MiB" in capsys.readouterr().out


def test_a_kit_that_is_too_large_is_refused(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu_kit, "MOST_BYTES", 1000)
    assert make_kit(data, tmp_path / "kit", "--wheels") == 1
    assert "must hold at most 1,000 bytes" in capsys.readouterr().err


def test_a_missing_data_set_is_named(tmp_path, capfd):
    assert make_kit(tmp_path, tmp_path / "kit", "--wheels") == 1
    assert "beauty does not exist" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("queue",), "--output must name a folder"),
        (("--output", "{}"), "a queue must be named"),
        (("--output", "{}", "--kit", "{}/none", "queue"), "make gpu-kit wrote"),
        (("--output", "{}", "--procs", "4", "queue"), "no such flag: --procs"),
        (("--output", "{}", "--kit", "{}", "--processes", "0", "q"), "above 0"),
    ],
)
def test_wrong_flags_are_named(tmp_path, arguments, message):
    (tmp_path / "data").mkdir()
    done = gpu_run(*(part.format(tmp_path) for part in arguments))
    assert (done.returncode, message in done.stderr) == (2, True)


def test_every_process_works_on_every_queue_within_the_time(tmp_path):
    """With a stand-in for Python that notes how it is called."""
    (tmp_path / "data").mkdir()
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$KERAS_BACKEND $*" >>{tmp_path}/calls\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    out = tmp_path / "out"
    flags = ["--kit", tmp_path, "--output", out, "--processes", "3", "--minutes", "5"]
    done = gpu_run(*flags, "first", "second", python=python)
    assert done.returncode == 0, done.stderr
    assert "no run has finished" in done.stdout
    calls = (tmp_path / "calls").read_text().splitlines()
    starts = sorted(call.split(" --data")[0] for call in calls)
    queue = "jax -m pipelines.experiments {} --backend jax"
    assert starts == [queue.format(q) for q in ("first", "second") for _ in range(3)]
    for call in calls:
        assert 4.5 < float(call.split("--minutes ")[1]) <= 5


def test_what_has_finished_there_is_taken_into_the_ledger(tmp_path, capsys):
    there, here = tmp_path / "there" / "runs.jsonl", tmp_path / "here" / "runs.jsonl"
    keep(here, line(1), ranks=[7])
    for seed in (1, 2, 3):
        keep(there, line(seed), ranks=[seed])
    flags = ["--collect", str(there.parent), "--ledger", str(here)]
    assert experiments.main(flags) == 0
    assert "2 runs taken, 1 were there" in capsys.readouterr().out
    assert [entry["seed"] for entry in ledger.read(here)] == [1, 2, 3]
    found = [np.load(ledger.ranks_file(here, line(s)))["ranks"] for s in (1, 2, 3)]
    assert [ranks.tolist() for ranks in found] == [[7], [2], [3]]
    # A second time, nothing happens.
    assert experiments.main(flags) == 0
    assert "0 runs taken, 3 were there" in capsys.readouterr().out


def test_without_its_ranks_no_run_is_taken(tmp_path, capsys):
    there, here = tmp_path / "there" / "runs.jsonl", tmp_path / "here" / "runs.jsonl"
    keep(there, line(1))
    keep(there, line(2))
    ledger.ranks_file(there, line(2)).unlink()
    flags = ["--collect", str(there.parent), "--ledger", str(here)]
    assert experiments.main(flags) == 1
    assert "is missing" in capsys.readouterr().err
    assert not here.exists()
    assert experiments.main(["--collect", str(tmp_path), "--ledger", str(here)]) == 1
    assert "there is no ledger" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["beauty_strong", "--collect", "there"]])
def test_a_queue_or_a_collection_is_asked_for(flags, capsys):
    with pytest.raises(SystemExit):
        experiments.main(flags)
    assert "a queue or --collect must be given" in capsys.readouterr().err


@pytest.mark.gpu_kit
@pytest.mark.timeout(1200)
def test_a_queue_from_kit_to_ledger(data, tmp_path):
    """As on a GPU machine: Python 3.12, JAX, and of ours the repository alone."""
    assert make_kit(data, tmp_path / "kit") == 0
    queue = tmp_path / "queue.yaml"
    queue.write_text(QUEUE)
    out = tmp_path / "out"
    flags = ["--kit", tmp_path / "kit", "--output", out, "--processes", "2"]
    done = gpu_run(*flags, queue, python=PYTHON)
    logs = "\n".join(path.read_text() for path in out.glob("log.*"))
    assert done.returncode == 0, done.stderr + logs
    assert (out / "results.tar.gz").is_file()
    here = tmp_path / "here" / "runs.jsonl"
    assert experiments.main(["--collect", str(out), "--ledger", str(here)]) == 0
    entries = ledger.read(here)
    assert sorted(entry["seed"] for entry in entries) == [1, 2, 3]
    fingerprint = spec.DatasetDir(data / "beauty").fingerprint()
    for entry in entries:
        assert entry["data_fingerprint"] == fingerprint
        assert "jax" in entry["machine"]
        with np.load(ledger.ranks_file(here, entry)) as stored:
            assert len(stored["ranks"]) == 60
