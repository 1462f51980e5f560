"""A day's log on top of a dataset gives what a full rebuild would give."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from beam_jobs import prepare_dataset, show
from s4rec_tf.spec import DatasetDir

pytestmark = pytest.mark.usefixtures("no_tfdv")

DAYS = 4


def write_log(path: Path, reviews: list[tuple[str, str, int]]) -> Path:
    records = [
        {"reviewerID": user, "asin": item, "unixReviewTime": time}
        for user, item, time in reviews
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def prepare(output: Path, *inputs: Path, **flags: Any) -> int:
    argv = ["--output", str(output), "--k_core=3"]
    argv += ["--input", *map(str, inputs)] if inputs else []
    argv += [f"--{name}={value}" for name, value in flags.items()]
    return prepare_dataset.run(argv)


def random_reviews(seed: int) -> list[tuple[str, str, int]]:
    """Reviews of four days; items come up as days go by."""
    generator = random.Random(seed)
    reviews = []
    for time in range(DAYS * 100):
        items = 6 + time // 40
        user = f"u{generator.randrange(25)}"
        reviews.append((user, f"i{generator.randrange(items)}", time))
    return reviews


def by_day(reviews: list[tuple[str, str, int]]) -> list[list[tuple[str, str, int]]]:
    return [[r for r in reviews if r[2] // 100 == day] for day in range(DAYS)]


def files_of(root: Path) -> dict[str, bytes]:
    """Every file whose content follows from the actions alone."""
    names = ("train", "valid", "test", "actions", "item_vocab.txt", "item_counts.txt")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] in names
    }


def test_days_one_by_one_equal_a_full_rebuild(tmp_path: Path) -> None:
    reviews = random_reviews(0)
    days = by_day(reviews)
    # Late and repeated delivery: some of the first day comes on the third, too.
    late = days[0][::7]
    days[0] = days[0][: len(days[0]) - 20]
    days[2] = days[2] + late + random_reviews(0)[80:100]
    logs = [write_log(tmp_path / f"day{n}.json", day) for n, day in enumerate(days)]
    previous = tmp_path / "day0"
    assert prepare(previous, logs[0]) == 0
    vocabularies = [DatasetDir(previous).vocabulary()]
    for number in range(1, DAYS):
        output = tmp_path / f"day{number}"
        assert prepare(output, logs[number], previous=previous) == 0
        pinned = {"item_ids_from": previous}
        rebuilt = tmp_path / f"rebuilt{number}"
        assert prepare(rebuilt, *logs[: number + 1], **pinned) == 0
        assert files_of(output) == files_of(rebuilt)
        vocabulary = DatasetDir(output).vocabulary()
        assert vocabulary[: len(vocabularies[-1])] == vocabularies[-1]
        vocabularies.append(vocabulary)
        previous = output
    assert len(vocabularies[-1]) > len(vocabularies[0])
    inputs = json.loads(DatasetDir(previous).info_file.read_text())["inputs"]
    assert [entry["name"] for entry in inputs] == [log.name for log in logs]


def test_a_user_below_the_core_enters_on_a_later_day(
    tmp_path: Path, capfdbinary: Any
) -> None:
    core = [(f"u{n}", item, n) for n in range(3) for item in "abc"]
    first = write_log(tmp_path / "1.json", [*core, ("late", "a", 1), ("late", "b", 2)])
    second = write_log(tmp_path / "2.json", [("late", "c", 9)])
    assert prepare(tmp_path / "one", first) == 0
    assert prepare(tmp_path / "two", second, previous=tmp_path / "one") == 0
    capfdbinary.readouterr()
    assert show.run([str(tmp_path / "two")]) == 0
    assert b"late\ta b c\n" in capfdbinary.readouterr().out


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.json", random_reviews(2))
    assert prepare(tmp_path / "once", log) == 0
    assert prepare(tmp_path / "twice", log, previous=tmp_path / "once") == 0
    assert files_of(tmp_path / "twice") == files_of(tmp_path / "once")
    once, twice = (DatasetDir(tmp_path / name) for name in ("once", "twice"))
    assert twice.info_file.read_bytes() == once.info_file.read_bytes()


def test_erased_users_and_items_are_gone_and_ids_stay(tmp_path: Path) -> None:
    reviews = random_reviews(3)
    log = write_log(tmp_path / "log.json", reviews)
    assert prepare(tmp_path / "before", log) == 0
    vocabulary = DatasetDir(tmp_path / "before").vocabulary()
    item = vocabulary[1]
    (tmp_path / "users").write_text("u3\nu7\nnobody\n")
    (tmp_path / "items").write_text(f"{item}\n")
    flags = {"erase_users": tmp_path / "users", "erase_items": tmp_path / "items"}
    assert prepare(tmp_path / "after", previous=tmp_path / "before", **flags) == 0
    left = [r for r in reviews if r[0] not in ("u3", "u7") and r[1] != item]
    rebuilt_log = write_log(tmp_path / "left.json", left)
    pinned = {"item_ids_from": tmp_path / "before"}
    assert prepare(tmp_path / "rebuilt", rebuilt_log, **pinned) == 0
    assert files_of(tmp_path / "after") == files_of(tmp_path / "rebuilt")
    after = DatasetDir(tmp_path / "after")
    assert after.vocabulary() == vocabulary
    assert after.item_counts.read_text().split()[1] == "0"
    counts = after.read_manifest()["counts"]
    assert counts["erased"] == len(set(reviews)) - len(set(left))
    # The next day does not bring them back, but what they do then counts.
    assert prepare(tmp_path / "next", log, previous=tmp_path / "after", **flags) == 0
    assert files_of(tmp_path / "next") == files_of(tmp_path / "after")


def test_a_list_that_grew_counts_in_the_same_process(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.json", random_reviews(5))
    users = tmp_path / "users"
    shown = []
    for listed in ("u3\n", "u3\nu7\n"):
        users.write_text(listed)
        output = tmp_path / f"after_{len(shown)}"
        assert prepare(output, log, erase_users=users) == 0
        shown.append(DatasetDir(output).read_manifest()["counts"]["erased"])
    reviews = set(random_reviews(5))
    assert shown == [
        sum(user in names for user, *_ in reviews) for names in (["u3"], ["u3", "u7"])
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"min_rating": 2}, "`--min_rating` must be as in `--previous`"),
        ({"since": "1970-01-01"}, "`--since` must be as in `--previous`"),
        (
            {"erase_users": "no_such_file"},
            "`--erase_users` no_such_file cannot be read",
        ),
        ({"format": "sequences"}, "which have no times, cannot be joined"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, capsys: Any, flags: dict[str, Any], message: str
) -> None:
    log = write_log(tmp_path / "log.json", random_reviews(4))
    assert prepare(tmp_path / "one", log) == 0
    lines = tmp_path / "sequences.txt"
    lines.write_text("u a b c\n")
    new = lines if flags.get("format") == "sequences" else log
    assert prepare(tmp_path / "two", new, previous=tmp_path / "one", **flags) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "two").exists()


def test_sequences_cannot_be_gone_on_from(tmp_path: Path, capsys: Any) -> None:
    lines = tmp_path / "sequences.txt"
    lines.write_text("".join(f"u{n} a b c\n" for n in range(4)))
    assert prepare(tmp_path / "one", lines, format="sequences") == 0
    log = write_log(tmp_path / "log.json", random_reviews(5))
    assert prepare(tmp_path / "two", log, previous=tmp_path / "one") == 1
    assert "was made from logs of sequences" in capsys.readouterr().err


def test_an_unfinished_previous_is_refused(tmp_path: Path, capsys: Any) -> None:
    log = write_log(tmp_path / "log.json", random_reviews(6))
    assert prepare(tmp_path / "two", log, previous=tmp_path / "none") == 1
    assert "none does not exist" in capsys.readouterr().err


def test_a_damaged_previous_is_refused(tmp_path: Path, capsys: Any) -> None:
    log = write_log(tmp_path / "log.json", random_reviews(8))
    previous = tmp_path / "one"
    assert prepare(previous, log) == 0
    shard = next((previous / "actions").iterdir())
    vocabulary = previous / "item_vocab.txt"
    for damaged, content, reason in (
        (shard, shard.read_bytes()[:-1], "bytes must be"),
        (vocabulary, vocabulary.read_bytes().swapcase(), "sha256 must be"),
        (vocabulary, None, "item_vocab.txt is missing"),
    ):
        whole = damaged.read_bytes()
        damaged.unlink() if content is None else damaged.write_bytes(content)
        assert prepare(tmp_path / "two", log, previous=previous) == 1
        error = capsys.readouterr().err
        assert damaged.name in error
        assert reason in error
        assert not (tmp_path / "two").exists()
        damaged.write_bytes(whole)


def test_without_input_or_previous_there_is_nothing_to_do(
    tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as stop:
        prepare(tmp_path / "out")
    assert stop.value.code == 2
    assert "required: --input" in capsys.readouterr().err
