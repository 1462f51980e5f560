"""Sequences divided by time or by files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_jobs import prepare_dataset, show
from beam_jobs.sinks.encoding import parse_example, read_records
from beam_jobs.splits import split_examples
from s4rec_tf import spec
from s4rec_tf.train.tensorflow import refit

pytestmark = pytest.mark.usefixtures("no_tfdv")

Review = tuple[str, str, int]

REVIEWS: list[Review] = [
    *[
        ("all", item, time)
        for item, time in zip("abcdef", (1, 2, 15, 16, 25, 26), strict=True)
    ],
    *[("no_valid", item, time) for item, time in zip("abc", (3, 4, 27), strict=True)],
    *[("no_test", item, time) for item, time in zip("bcd", (5, 6, 17), strict=True)],
    *[("late", item, time) for item, time in zip("abd", (18, 19, 28), strict=True)],
]
"""Times below 10 are for training, below 20 for validation."""

EXPECTED = {
    "train": {"all": "ab", "no_valid": "ab", "no_test": "bc"},
    "valid": {"all": "abc", "no_test": "bcd"},
    "test": {"all": "abcde", "no_valid": "abc"},
}
"""The items of each example, the target last."""


def write_log(path: Path, reviews: list[Review]) -> Path:
    records = [
        {"reviewerID": user, "asin": item, "unixReviewTime": time}
        for user, item, time in reviews
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def prepare(output: Path, *flags: object) -> int:
    argv = ["--output", str(output), "--k_core=1", *map(str, flags)]
    return prepare_dataset.run(argv)


def examples(root: Path) -> dict[str, dict[str, str]]:
    dataset = spec.DatasetDir(root)
    names = ["", *dataset.vocabulary()]
    found: dict[str, dict[str, str]] = {split: {} for split in spec.SPLITS}
    for split in spec.SPLITS:
        for path in dataset.shards(split):
            for example in map(parse_example, read_records(path)):
                ids = example["item_ids"] + example.get("target_id", [])
                user = example["user_id"][0].decode()
                found[split][user] = "".join(names[i] for i in ids)
    return found


def by_time(log: Path) -> list[object]:
    flags = ["--split=global_time", "--valid_from=10", "--test_from=20"]
    return ["--input", log, *flags]


def by_files(tmp_path: Path) -> list[object]:
    """Logs of their own; what the test repeats of training is no target."""
    train, valid, test = (
        write_log(
            tmp_path / f"{name}.json",
            [review for review in REVIEWS if low <= review[2] < low + 10],
        )
        for name, low in (("train", 0), ("valid", 10), ("test", 20))
    )
    with test.open("a") as stream:
        stream.write(train.read_text())
    return [
        *("--split=files", "--input", train),
        *("--valid_input", valid, "--test_input", test),
    ]


@pytest.mark.parametrize("kind", ["global_time", "files"])
def test_the_first_action_of_a_part_is_the_target(
    tmp_path: Path, kind: str, capfdbinary: Any
) -> None:
    log = write_log(tmp_path / "log.json", REVIEWS)
    flags = by_time(log) if kind == "global_time" else by_files(tmp_path)
    root = tmp_path / "out"
    assert prepare(root, *flags) == 0
    assert examples(root) == EXPECTED
    dataset = spec.DatasetDir(root)
    assert dataset.info().split.startswith(kind)
    assert dataset.read_manifest()["counts"]["split"] == dataset.info().split
    assert dataset.info().split_examples == {"train": 3, "valid": 2, "test": 2}
    capfdbinary.readouterr()
    assert show.run([str(root)]) == 0
    shown = capfdbinary.readouterr().out
    assert shown == b"all\ta b c d e\nno_test\tb c d\nno_valid\ta b c\n"


def test_a_refit_learns_from_the_last_split_of_every_user(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.json", REVIEWS)
    assert prepare(tmp_path / "out", *by_time(log)) == 0
    dataset = spec.DatasetDir(tmp_path / "out")
    names = ["", *dataset.vocabulary()]
    sequences = refit._with_targets(dataset)
    found = {
        bytes(user).decode(): "".join(names[item] for item in sequences.items(row))
        for row, user in enumerate(sequences.user_ids)
    }
    assert found == {"all": "abcde", "no_test": "bcd", "no_valid": "abc"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--split=global_time"], "--valid_from: is needed by --split global_time"),
        (["--valid_from=3"], "--valid_from: means nothing to --split leave_one_out"),
        (["--split=files"], "--valid_input: is needed by --split files"),
        (
            ["--split=global_time", "--valid_from=9", "--test_from=9"],
            "--valid_from: must be before --test_from",
        ),
        (
            [
                "--split=files",
                "--valid_input",
                "x",
                "--test_input",
                "y",
                "--previous=z",
            ],
            "--previous: means nothing to --split files",
        ),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    tmp_path: Path, capsys: Any, flags: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        prepare(tmp_path / "out", "--input", "log", *flags)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_part_without_examples_is_named(tmp_path: Path, capsys: Any) -> None:
    log = write_log(tmp_path / "log.json", REVIEWS)
    flags = ["--split=global_time", "--valid_from=10", "--test_from=1000"]
    assert prepare(tmp_path / "out", "--input", log, *flags) == 1
    assert "leaves no example for test" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], [("train", [], None)]),
        ([7, 8], [("train", [7, 8], None)]),
        (
            [7, 8, 9],
            [("train", [7], None), ("valid", [7], 8), ("test", [7, 8], 9)],
        ),
        (
            [7, 8, 9, 5],
            [("train", [7, 8], None), ("valid", [7, 8], 9), ("test", [7, 8, 9], 5)],
        ),
    ],
)
def test_the_last_two_actions_are_held_back(
    items: list[int], expected: list[Any]
) -> None:
    assert [tuple(example) for example in split_examples(items, None)] == expected
