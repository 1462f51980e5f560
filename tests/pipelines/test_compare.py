"""Many models on one dataset: the table, and the test of robustness."""

import csv
import json
import os
import signal

import numpy as np
import pytest
from page_reading import needs_nothing_else, plots

from benchmarks import small_datasets
from pipelines import compare, family, robustness
from pipelines.experiments import ledger
from pipelines.report import comparison_table
from s4rec_tf import spec

NUM_ITEMS = 12


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """The commands choose a backend and what a signal does, for their process."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shop.v2"
    sequences = small_datasets.markov_sequences(60, NUM_ITEMS, seed=2)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS))


def entry(dataset, model, seed=1, level=0.5, variant="main", **more):
    metrics = {
        f"{users}{name}": level + bonus
        for users, bonus in (("", 0.0), ("head/", 0.1), ("tail/", -0.1))
        for name in ("HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20", "MRR")
    }
    values = {
        "dataset": "shop.v2",
        "model": model,
        "config": "defaults",
        "settings": {},
        "variant": variant,
        "seed": seed,
        "valid": {"NDCG@20": level},
        "test": metrics,
        "epochs": 4,
        "minutes": 2.0,
        "machine": "two cores",
        "code_version": "abc",
        "data_fingerprint": dataset.fingerprint(),
        "analysis": {},
    }
    return values | more


def keep(path, line, ranks):
    ledger.append(path, line)
    file = ledger.ranks_file(path, line)
    file.parent.mkdir(exist_ok=True)
    is_head = np.arange(len(ranks)) == 0
    np.savez(file, ranks=np.asarray(ranks), is_head=is_head, config="{}")


def run(command, dataset, tmp_path, *flags):
    output = tmp_path / "table"
    place = ["--dataset", str(dataset.root), "--work", str(tmp_path / "work")]
    code = command.main([*place, "--output", str(output), *flags])
    return code, output


def cells_of(markdown):
    table = next(part for part in markdown.split("\n\n") if part.startswith("|"))
    lines = table.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_models_stand_side_by_side(dataset, tmp_path):
    path = tmp_path / "table.jsonl"
    # NDCG of rank 1 is 1, of rank 3 it is 1 / log2(4) = 1/2, beyond 20 it is 0.
    keep(path, entry(dataset, "popularity", level=0.25), [3, 3, 21, 30])
    keep(path, entry(dataset, "sasrec", level=0.5), [1, 3, 3, 21])
    code, output = run(compare, dataset, tmp_path, "--models", "popularity,sasrec")
    assert code == 0
    first, second = cells_of(output.with_suffix(".md").read_text())
    assert [first["model"], second["model"]] == ["popularity", "sasrec"]
    assert second["HR@5"] == second["MRR"] == "0.5000"
    assert second["head/NDCG@20"] == "0.6000" and second["tail/HR@20"] == "0.4000"
    # Against the first: gains 1/2, 0, 1/2, 0 are 0.25 on average, of a level of 0.25.
    assert second["NDCG@20 against popularity"] == "+100.0 %"
    assert first["NDCG@20 against popularity"] == "-"
    # Sixty users four times in two minutes.
    assert second["users/s"] == "2"
    # Nothing is trained in a count of popularity. SASRec of d = 64 by hand: 12 items, a
    # vector for hidden ones, 50 positions and a norm; a block has four products of
    # d x d with biases, two of d x 4d with theirs, and two norms.
    assert first["parameters"] == "0"
    block = 4 * (64 * 64 + 64) + (64 * 256 + 256) + (256 * 64 + 64) + 2 * 128
    expected = (NUM_ITEMS + 1 + 50) * 64 + 128 + 2 * block
    assert second["parameters"] == f"{expected:,}"
    page = output.with_suffix(".html").read_text()
    assert "+100.0 %" in page and needs_nothing_else(page)


def test_sampled_protocols_stand_apart(dataset, tmp_path):
    line = entry(dataset, "popularity")
    sampled = dict.fromkeys(("HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10"), 0.25)
    sampled["NDCG@20"] = 0.125
    line["test"] |= {f"sampled_uniform_99/{k}": v for k, v in sampled.items()}
    keep(tmp_path / "table.jsonl", line, [1])
    _, output = run(compare, dataset, tmp_path, "--models", "popularity")
    lines = output.with_suffix(".md").read_text().splitlines()
    assert lines[-1].startswith("| popularity | 0.250 | 0.250 |")
    assert lines[-1].count("0.125") == 1 and lines[-1].endswith("| - | - |")


def test_every_seed_is_a_line_of_the_csv(dataset, tmp_path):
    for seed, level in ((1, 0.2), (2, 0.4)):
        keep(tmp_path / "table.jsonl", entry(dataset, "popularity", seed, level), [1])
    arguments = ["--models", "popularity", "--seeds", "2"]
    code, output = run(compare, dataset, tmp_path, *arguments)
    assert code == 0
    first, second = csv.DictReader(output.with_suffix(".csv").open())
    assert (first["seed"], second["seed"]) == ("1", "2")
    assert float(first["NDCG@20"]) == 0.2 and float(second["head/MRR"]) == 0.5
    (row,) = cells_of(output.with_suffix(".md").read_text())
    assert row["NDCG@20"] == "0.3000 ± 0.1414"


@pytest.mark.slow
def test_what_is_missing_is_run(dataset, tmp_path, capfd):
    code, output = run(compare, dataset, tmp_path, "--models", "popularity")
    assert code == 0, capfd.readouterr().err
    (line,) = (tmp_path / "table.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["dataset"], found["config"]) == ("shop.v2", "defaults")
    (row,) = cells_of(output.with_suffix(".md").read_text())
    assert row["NDCG@20"] == f"{found['test']['NDCG@20']:.4f}"


def test_what_has_not_finished_is_named(dataset, tmp_path):
    keep(tmp_path / "table.jsonl", entry(dataset, "popularity"), [1])
    arguments = ["--models", "popularity,sasrec", "--minutes", "0.01"]
    code, output = run(compare, dataset, tmp_path, *arguments)
    assert code == 0
    text = output.with_suffix(".md").read_text()
    assert len(cells_of(text)) == 1 and "Not finished: sasrec." in text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--models", "popularty"], ["'popularty'", "popularity", "s4rec"]),
        (["--models", "sasrec,sasrec"], ["each once", "'sasrec,sasrec'"]),
        (["--models", "sasrec", "--against", "gru"], ["--against", "'gru'", "sasrec"]),
        (["--models", "sasrec", "--recipes", "toys,"], ["--recipes", "''", "'toys,'"]),
        (["--models", "sasrec", "--recipes", "ml2m"], ["MODEL_NAME", "'ml2m'"]),
    ],
)
def test_a_wrong_name_lists_the_right_ones(dataset, tmp_path, capfd, flags, words):
    assert run(compare, dataset, tmp_path, *flags)[0] == 2
    error = capfd.readouterr().err
    assert all(word in error for word in words)


def test_the_first_recipe_that_a_model_has_is_taken(dataset):
    names = ["--models", "sasrec,iclrec,popularity", "--recipes", "toys,beauty"]
    args = compare.parse_args(["--dataset", str(dataset.root), *names])
    configs = {run.model: run.config for run in family.runs_of(args)}
    assert configs["sasrec"] == "sasrec_toys"
    assert configs["iclrec"] == "iclrec_beauty"


@pytest.mark.parametrize(
    ("flags", "received"),
    [
        (["--seeds", "0"], "Received: 0"),
        (["--minutes", "-1"], "Received: -1"),
        (["--dataset", "nowhere"], "Received: nowhere"),
    ],
)
def test_wrong_flags_are_refused(dataset, tmp_path, capfd, flags, received):
    with pytest.raises(SystemExit):
        run(compare, dataset, tmp_path, *flags)
    assert received in capfd.readouterr().err


def test_published_figures_are_found_by_the_models_name():
    results = [{"method": "S3-Rec"}, {"method": "SASRec, other"}, {"method": "SASRec"}]
    assert comparison_table.published_of("s3rec", results) is results[0]
    assert comparison_table.published_of("sasrec", results) is results[2]
    assert comparison_table.published_of("ncf", results) is None


def test_robustness_is_drawn_over_the_shares(dataset, tmp_path):
    for share, level in ((0, 0.4), (0.1, 0.3), (0.5, 0.1)):
        settings = {"replaced_share": share} if share else {}
        variant = f"replaced_share={share:g}" if share else "main"
        more = {"settings": settings, "variant": variant}
        line = entry(dataset, "popularity", level=level, **more)
        keep(tmp_path / "table.jsonl", line, [1])
    flags = ["--models", "popularity", "--shares", "0.5,0.1"]
    code, output = run(robustness, dataset, tmp_path, *flags)
    assert code == 0
    lines = output.with_suffix(".md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| popularity")]
    assert rows == [
        "| popularity | 0.4000 | 0.3000 | 0.1000 |",
        "| popularity | 100.0% | 75.0% | 25.0% |",
    ]
    assert len(plots(output.with_suffix(".html").read_text())) == 2


@pytest.mark.parametrize("shares", ["0,0.1", "1.5", "a few"])
def test_wrong_shares_are_refused(dataset, tmp_path, capfd, shares):
    with pytest.raises(SystemExit):
        run(robustness, dataset, tmp_path, "--shares", shares)
    assert f"Received: {shares}" in capfd.readouterr().err
