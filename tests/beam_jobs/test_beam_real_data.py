"""Whole jobs on the real logs in the folder that S4REC_DATA names."""

import gzip
import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from without_statistics import leave_statistics_out

from beam_jobs import defaults, prepare_dataset, runner, show
from s4rec_tf.spec import DatasetDir

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("S4REC_DATA", ROOT / ".." / "shared" / "data"))

FINGERPRINTS = {
    # Of the job before it became one pipeline (2026-11-21); it must not change bytes.
    "reviews_Beauty_5.slim.json.gz": "d360ea4130053a07",
    "reviews_Sports_and_Outdoors_5.slim.json.gz": "855d4eba07851b7a",
    "reviews_Toys_and_Games_5.slim.json.gz": "79414be4c01e3074",
    "ml-100k-u.data.gz": "16873151f17f098b",
    "ml-1m-ratings.users1-2999.dat.gz": "680ee5878483147c",
    "ml-1m-sequences.txt.gz": "67feb87bc9183820",
}
LOGS = {
    "reviews_Beauty_5.slim.json.gz": ("amazon", 22_363, 12_101, 198_502),
    "reviews_Sports_and_Outdoors_5.slim.json.gz": ("amazon", 35_598, 18_357, 296_337),
    "reviews_Toys_and_Games_5.slim.json.gz": ("amazon", 19_412, 11_924, 167_597),
    "ml-100k-u.data.gz": ("movielens", 943, 1_349, 99_287),
    "ml-1m-ratings.users1-2999.dat.gz": ("movielens", 2_999, 3_266, 486_907),
    "ml-1m-sequences.txt.gz": ("sequences", 6_040, 3_416, 999_611),
}
BEAUTY_SHOWN = "6d51e725cfbc328c82bd14328854dae9f18a94496c1b3baf0d4333181ffbafde"


@pytest.fixture
def pipelines(monkeypatch):
    """The flags of every pipeline that runs; on Dataflow each would be a job."""
    ran, run_pipeline = [], runner.run_pipeline

    def run_counted(wire, flags, engine=None):
        ran.append(flags)
        return run_pipeline(wire, flags, engine)

    monkeypatch.setattr(runner, "run_pipeline", run_counted)
    return ran


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGS)
def test_published_counts(tmp_path, capfdbinary, pipelines, name):
    line_format, users, items, actions = LOGS[name]
    output = tmp_path / "out"
    argv = ["--input", str(DATA / name), "--output", str(output)]
    assert prepare_dataset.run([*argv, "--format", "auto"]) == 0
    assert len(pipelines) == 1
    assert DatasetDir(output).fingerprint().startswith(FINGERPRINTS[name])
    said = capfdbinary.readouterr().err.decode()
    assert f"{name}: {line_format} (" in said
    info = DatasetDir(output).info()
    assert (info.num_users, info.num_items, info.num_actions) == (users, items, actions)
    assert info.num_head_users == round(0.2 * users)
    if "Beauty" in name:
        assert show.run([str(output)]) == 0
        shown = capfdbinary.readouterr().out
        assert hashlib.sha256(shown).hexdigest() == BEAUTY_SHOWN
        assert info.head_min_length == 10


def read_actions(name):
    """(user, time, item) of every line, by rules of its own."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        for line in lines:
            if name.startswith("reviews"):
                found = json.loads(line)
                yield found["reviewerID"], found["unixReviewTime"], found["asin"]
            elif "sequences" in name:
                user, *items = line.split()
                yield from ((user, time, item) for time, item in enumerate(items))
            else:
                user, item, _, time = line.replace("::", "\t").split()
                yield user, int(time), item


def core_in_memory(actions, k):
    """The actions of users and items with at least k of them, by counting again."""
    while True:
        users = Counter(user for user, _, _ in actions)
        items = Counter(item for _, _, item in actions)
        kept = [a for a in actions if users[a[0]] >= k and items[a[2]] >= k]
        if len(kept) == len(actions):
            return kept
        actions = kept


@pytest.mark.slow
@pytest.mark.parametrize("k", [5, 8])
@pytest.mark.parametrize("name", LOGS)
def test_the_core_of_every_log_is_that_found_in_memory(
    tmp_path, capfdbinary, monkeypatch, pipelines, name, k
):
    leave_statistics_out(monkeypatch)
    output = tmp_path / "out"
    # By default; tests without statistics have fewer.
    rounds = f"--core_rounds={defaults.CORE_ROUNDS}"
    files = ["--input", str(DATA / name), "--output", str(output)]
    argv = [*files, f"--k_core={k}", rounds]
    assert prepare_dataset.run(argv) == 0
    assert len(pipelines) <= 2
    capfdbinary.readouterr()
    assert show.run([str(output)]) == 0
    histories = {}
    for user, _, item in sorted(core_in_memory(sorted(set(read_actions(name))), k)):
        histories.setdefault(user, []).append(item)
    expected = [f"{user}\t{' '.join(histories[user])}\n" for user in sorted(histories)]
    assert capfdbinary.readouterr().out.decode() == "".join(expected)
