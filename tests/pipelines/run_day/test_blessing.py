"""Verdicts on ranks that are given."""

import json
import re

import numpy as np
import pytest

from benchmarks import small_datasets
from pipelines.run_day import blessing

USERS, ITEMS = 300, 40
LONG = set(range(60))  # of 8 actions; the others have 4


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A dataset of 300 users, of whom 200 acted in the new logs and 50 are new."""
    root = tmp_path_factory.mktemp("blessing")
    full = [
        [1 + (u + n) % ITEMS for n in range(8 if u in LONG else 4)]
        for u in range(USERS)
    ]
    small_datasets.write_dataset(root / "dataset", full, ITEMS)
    small_datasets.write_dataset(root / "increment", full[:200], ITEMS)
    # User numbers count from 0 in every dataset: the first 250 of today were there.
    small_datasets.write_dataset(root / "before", full[:150], ITEMS)
    return root


def judged(root, tmp_path, candidate, baseline, *flags, increment=True):
    """The findings of the command."""
    for name, ranks in (("candidate", candidate), ("baseline", baseline)):
        (tmp_path / name).mkdir(exist_ok=True)
        np.savez(tmp_path / name / "test_ranks.npz", ranks=ranks)
    line = ["--dataset", root / "dataset", "--candidate", tmp_path / "candidate"]
    line += ["--baseline", tmp_path / "baseline", "--output", tmp_path / "found.json"]
    if increment:
        line += ["--increment", root / "increment", "--previous", root / "before"]
    assert blessing.main([str(word) for word in (*line, *flags)]) == 0
    return json.loads((tmp_path / "found.json").read_text())


def ranks(share, seed=0):
    """Rank 1 for a share of the users, 30 for the others."""
    drawn = np.random.default_rng(seed).random(USERS)
    return np.where(drawn < share, 1, 30)


def test_equal_models_are_blessed(root, tmp_path, capsys):
    found = judged(root, tmp_path, ranks(0.5), ranks(0.5))
    assert found["refusals"] == []
    assert capsys.readouterr().out == "blessed\n"
    sizes = {c["slice"]: c["users"] for c in found["comparisons"]}
    # 60 of the 200 who acted are head; the 40 of a quartile are too few.
    assert sizes == {"all": 200, "tail": 140}


def test_worse_model_is_refused_with_all_numbers(root, tmp_path):
    flags = ("--min_users", "20")
    found = judged(root, tmp_path, ranks(0.3), ranks(0.6), *flags)
    first = found["comparisons"][0]
    active = np.arange(USERS) < 200
    levels = [np.mean(ranks(share)[active] == 1) for share in (0.3, 0.6)]
    assert (first["candidate"], first["baseline"]) == pytest.approx(tuple(levels))
    assert first["metric"] == "NDCG@20" and first["interval"][1] < 0
    text = found["refusals"][0]
    assert text.startswith("NDCG@20 of all (200 users) must not fall by more than 5%: ")
    assert f"{levels[1]:.4f} in service. Received: {levels[0]:.4f}" in text
    slices = {re.match(r"\S+ of (\w+)", line)[1] for line in found["refusals"]}
    assert slices == {"all", "head", "tail", "new_users"} | {
        f"length_q{n}" for n in (1, 2, 3, 4)
    }


def test_worse_slice_is_refused_where_the_whole_is_not(root, tmp_path):
    baseline = ranks(0.5)
    candidate = baseline.copy()
    candidate[150:200] = 30  # the users who are new today
    candidate[60:150] = np.where(ranks(0.9, 5)[60:150] == 1, 1, 30)
    found = judged(root, tmp_path, candidate, baseline, "--min_users", "50")
    slices = {re.match(r"\S+ of (\w+)", line)[1] for line in found["refusals"]}
    assert "new_users" in slices and "all" not in slices


def test_users_who_did_not_act_today_do_not_count(root, tmp_path):
    candidate = ranks(0.5)
    candidate[200:] = 30
    assert judged(root, tmp_path, candidate, ranks(0.5))["refusals"] == []
    found = judged(root, tmp_path, candidate, ranks(0.5), increment=False)
    level = np.mean(ranks(0.5) == 1)
    assert f"than 5%: {level:.4f} by popularity." in found["refusals"][0]


def test_fall_within_the_threshold_is_let_through(root, tmp_path):
    candidate = ranks(0.5)
    candidate[np.flatnonzero(candidate == 1)[:2]] = 2
    strict = ("--max_drop", "0", "--max_slice_drop", "0")
    assert judged(root, tmp_path, candidate, ranks(0.5))["refusals"] == []
    # Two users alone may be chance: the interval reaches 0.
    assert judged(root, tmp_path, candidate, ranks(0.5), *strict)["refusals"] == []
    candidate[np.flatnonzero(candidate == 1)[:20]] = 2
    assert judged(root, tmp_path, candidate, ranks(0.5), *strict)["refusals"]


def test_too_few_users_bless_nothing(root, tmp_path):
    found = judged(root, tmp_path, ranks(0.9), ranks(0.1), "--min_users", "201")
    assert found["comparisons"] == []
    assert "at least 201 users of the new logs" in found["refusals"][0]
    assert "Received: 200" in found["refusals"][0]


def test_missing_evaluation_is_one_line(root, tmp_path, capsys):
    line = ["--dataset", root / "dataset", "--candidate", tmp_path]
    line += ["--baseline", tmp_path, "--output", tmp_path / "found.json"]
    assert blessing.main([str(word) for word in line]) == 1
    assert capsys.readouterr().err.startswith("blessing: ")
    assert not (tmp_path / "found.json").exists()
