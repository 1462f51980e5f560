"""Whole jobs on small logs; all but the first few leave TFDV out, which takes long."""

import gzip
import json
import random
from collections import Counter

import pytest

from beam_jobs import drift, prepare_dataset, show
from beam_jobs.sinks.encoding import parse_example, read_records
from s4rec_tf.spec import DatasetDir

REVIEWS = [
    ("u1", "a", 10),
    ("u1", "b", 20),
    ("u1", "c", 20),
    ("u1", "a", 30),
    ("u2", "c", 5),
    ("u2", "b", 6),
    ("u2", "b", 6),  # an exact duplicate
    ("u3", "a", 1),
    ("u3", "rare", 2),
    ("u4", "c", 9),
    ("u4", "a", 8),
    ("u4", "b", 7),
]


def json_line(user, item, time):
    record = {"reviewerID": user, "asin": item, "unixReviewTime": time}
    return json.dumps(record).encode()


def write_log(path, reviews):
    path.write_bytes(b"".join(json_line(*review) + b"\n" for review in reviews))
    return path


def prepare(output, *inputs, **flags):
    argv = ["--input", *map(str, inputs), "--output", str(output)]
    argv += [f"--{name}={value}" for name, value in flags.items()]
    return prepare_dataset.run(argv)


def shown(root, capfdbinary):
    capfdbinary.readouterr()
    assert show.run([str(root)]) == 0
    return capfdbinary.readouterr().out


def examples(root, split):
    paths = DatasetDir(root).shards(split)
    return [parse_example(record) for path in paths for record in read_records(path)]


def contents(root, *folders):
    names = folders or ("train", "valid", "test", "actions")
    paths = [path for name in names for path in (root / name).iterdir()]
    files = [*paths, root / "item_vocab.txt", root / "item_counts.txt"]
    return {path.relative_to(root): path.read_bytes() for path in files}


def test_everything_in_the_folder(tmp_path, capfdbinary):
    log = write_log(tmp_path / "log.json", REVIEWS)
    output = tmp_path / "out"
    assert prepare(output, log, k_core=2) == 0
    # "rare" falls, u3 with it; a, b, c have 3, 3, 3 actions left.
    assert (output / "item_vocab.txt").read_text() == "a\nb\nc\n"
    assert (output / "item_counts.txt").read_text() == "3\n3\n3\n"
    assert examples(output, "train") == [
        features(b"u1", [1, 2], None, 1, 4),
        features(b"u2", [3, 2], None, 0, 2),
        features(b"u4", [2], None, 0, 3),
    ]
    assert examples(output, "valid") == [
        features(b"u1", [1, 2], 3, 1, 4),
        features(b"u4", [2], 1, 0, 3),
    ]
    assert examples(output, "test") == [
        features(b"u1", [1, 2, 3], 1, 1, 4),
        features(b"u4", [2, 1], 3, 0, 3),
    ]
    assert shown(output, capfdbinary) == b"u1\ta b c a\nu2\tc b\nu4\tb a c\n"
    info = json.loads((output / "dataset.json").read_text())
    assert info["info"] == {
        "num_users": 3,
        "num_items": 3,
        "num_actions": 9,
        "num_head_users": 1,
        "head_share": 0.2,
        "head_min_length": 4,
        "k_core": 2,
        "split": "leave_one_out",
        "split_examples": {"train": 3, "valid": 2, "test": 2},
    }
    assert info["settings"]["k_core"] == 2
    assert [entry["name"] for entry in info["inputs"]] == ["log.json"]
    names = {path.name for path in output.iterdir()}
    assert names == {
        *("train", "valid", "test", "actions", "statistics", "bad_records"),
        *("item_vocab.txt", "item_counts.txt", "schema.pbtxt", "anomalies.pbtxt"),
        *("dataset.json", "MANIFEST.json"),
    }
    manifest = DatasetDir(output).verify()
    on_disk = {p.relative_to(output).as_posix() for p in output.rglob("*.*")}
    assert set(manifest["files"]) == on_disk - {"MANIFEST.json"}
    counted = Counter()
    for name, entry in manifest["files"].items():
        counted[name.split("/")[0]] += entry.get("examples", 0)
    assert [counted[f] for f in ("train", "valid", "test", "actions")] == [3, 2, 2, 11]
    assert manifest["counts"]["duplicates"] == 1
    assert (output / "anomalies.pbtxt").read_bytes() == b""
    # What users below the core did is kept for later days.
    actions = [
        (a["user_id"][0].decode(), a["item"][0].decode(), a["timestamp_ms"][0])
        for path in sorted((output / "actions").iterdir())
        for a in map(parse_example, read_records(path))
    ]
    assert sorted(actions) == sorted({(u, i, t * 1000) for u, i, t in REVIEWS})
    # The same command again refuses, and leaves everything as it is.
    assert prepare(output, log, k_core=2) == 1
    assert b"is a finished dataset already" in capfdbinary.readouterr().err
    assert sorted(tmp_path.iterdir()) == [log, output]
    # Of so few examples no distance is measured.
    assert drift.run([str(output), str(output), "--json"]) == 0
    found = json.loads(capfdbinary.readouterr().out)
    assert found == {"distances": [], "anomalies": []}


def test_counts_as_json_and_nothing_else(tmp_path, capfdbinary):
    log = write_log(tmp_path / "log.json", REVIEWS)
    argv = ["--input", str(log), "--output", str(tmp_path / "out"), "--k_core=2"]
    assert prepare_dataset.run([*argv, "--quiet", "--json"]) == 0
    out, err = capfdbinary.readouterr()
    found = json.loads(out)
    assert found["dataset"] == str(tmp_path / "out")
    counts = {name: found["counts"][name] for name in ("users", "items", "actions")}
    assert counts == {"users": 3, "items": 3, "actions": 9}
    assert err == b""


def features(user, item_ids, target, is_head, length):
    expected = {
        "user_id": [user],
        "item_ids": item_ids,
        "is_head": [is_head],
        "sequence_length": [length],
    }
    return expected if target is None else expected | {"target_id": [target]}


def random_reviews(seed, num_users=60, num_items=25, num_reviews=700):
    """A log with ties in time, repeats, duplicates and a long tail."""
    draw = random.Random(seed)
    reviews = [
        (
            f"u{int(num_users * draw.random() ** 2)}",
            f"i{int(num_items * draw.random() ** 2)}",
            draw.randrange(40),
        )
        for _ in range(num_reviews)
    ]
    return reviews + draw.sample(reviews, 20)


def reference(reviews, k):
    """The core's sequences, by dropping whoever is below k until nobody is."""
    actions = sorted({(u.encode(), t, i.encode()) for u, i, t in reviews})
    while True:
        users = Counter(user for user, _, _ in actions)
        items = Counter(item for _, _, item in actions)
        left = [a for a in actions if users[a[0]] >= k and items[a[2]] >= k]
        if left == actions:
            break
        actions = left
    sequences = {}
    for user, _, item in actions:
        sequences.setdefault(user, []).append(item)
    return sequences, items


@pytest.mark.parametrize("k_core", [1, 9])
def test_a_random_log_equals_a_reference(tmp_path, capfdbinary, no_tfdv, k_core):
    reviews = random_reviews(seed=5)
    log = write_log(tmp_path / "log", reviews)
    output = tmp_path / "out"
    assert prepare(output, log, k_core=k_core) == 0
    sequences, items = reference(reviews, k_core)
    assert 0 < len(sequences) <= 60
    lines = [u + b"\t" + b" ".join(s) + b"\n" for u, s in sorted(sequences.items())]
    assert shown(output, capfdbinary) == b"".join(lines)
    vocabulary = sorted(items, key=lambda item: (-items[item], item))
    assert DatasetDir(output).vocabulary() == [item.decode() for item in vocabulary]
    by_length = sorted(sequences, key=lambda user: (-len(sequences[user]), user))
    head = set(by_length[: round(0.2 * len(sequences))])
    for split in ("train", "valid", "test"):
        for example in examples(output, split):
            user = example["user_id"][0]
            assert example["is_head"] == [int(user in head)]
            assert example["sequence_length"] == [len(sequences[user])]
    assert DatasetDir(output).info().head_min_length == min(
        len(sequences[user]) for user in head
    )


def test_the_bytes_do_not_depend_on_files_order_or_compression(tmp_path, no_tfdv):
    reviews = random_reviews(seed=6)
    whole = write_log(tmp_path / "whole", reviews)
    shuffled = random.Random(1).sample(reviews, len(reviews))
    first = write_log(tmp_path / "z", shuffled[:300])
    second = tmp_path / "a.gz"
    lines = b"".join(json_line(*review) + b"\n" for review in shuffled[300:])
    second.write_bytes(gzip.compress(lines))
    assert prepare(tmp_path / "one", whole) == 0
    assert prepare(tmp_path / "two", first, second) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    # Nor do the users and their order depend on the number of shards.
    assert prepare(tmp_path / "three", second, first, num_shards=3) == 0
    assert len(list((tmp_path / "three" / "valid").iterdir())) == 3
    one, three = (examples(tmp_path / name, "test") for name in ("one", "three"))
    assert sorted(one, key=str) == sorted(three, key=str)


def test_beams_direct_runner_gives_the_same(tmp_path, no_tfdv):
    log = write_log(tmp_path / "log", random_reviews(seed=7))
    assert prepare(tmp_path / "one", log) == 0
    assert prepare(tmp_path / "two", log, runner="DirectRunner") == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_formats_may_be_mixed_and_are_reported(tmp_path, capfdbinary, no_tfdv):
    write_log(tmp_path / "one.json", REVIEWS[:8])
    lines = [f"{user}::{item}::5::{time}\n" for user, item, time in REVIEWS[8:]]
    (tmp_path / "two.dat").write_text("".join(lines))
    (tmp_path / "empty").touch()
    assert prepare(tmp_path / "out", tmp_path / "*", k_core=2, time_unit="s") == 0
    said = capfdbinary.readouterr().err.decode()
    assert "one.json: amazon (JSON lines" in said
    assert "two.dat: movielens (user, item, rating, time divided by '::')" in said
    assert "empty: no lines" in said
    assert "3 users, 3 items, 9 actions" in said
    expected = b"u1\ta b c a\nu2\tc b\nu4\tb a c\n"
    assert shown(tmp_path / "out", capfdbinary) == expected


def test_shown_sequences_are_a_log_again(tmp_path, capfdbinary, no_tfdv):
    log = write_log(tmp_path / "log", random_reviews(seed=8))
    assert prepare(tmp_path / "one", log) == 0
    printed = shown(tmp_path / "one", capfdbinary)
    (tmp_path / "sequences").write_bytes(printed)
    assert prepare(tmp_path / "two", tmp_path / "sequences", format="auto") == 0
    assert shown(tmp_path / "two", capfdbinary) == printed
    splits = ("train", "valid", "test")
    one, two = (contents(tmp_path / name, *splits) for name in ("one", "two"))
    assert one == two


def test_the_cap_counts_and_keeps_the_newest(tmp_path, capfdbinary, no_tfdv):
    bot = [("bot", f"i{n:02d}", n) for n in range(50)]
    log = write_log(tmp_path / "log", [*bot, ("u", "i49", 1)])
    output = tmp_path / "out"
    assert prepare(output, log, k_core=1, max_actions_per_user=3) == 0
    assert shown(output, capfdbinary) == b"bot\ti47 i48 i49\nu\ti49\n"
    counts = DatasetDir(output).read_manifest()["counts"]
    assert (counts["capped_users"], counts["capped_actions"]) == (1, 47)
    assert counts["distinct_actions"] == 51


def test_too_many_bad_lines_stop_the_job(tmp_path, capfdbinary, no_tfdv):
    log = tmp_path / "log"
    lines = [json_line("u", f"i{n}", n) for n in range(997)]
    log.write_bytes(b"\n".join([*lines, b"oops", b"{}", b"oops"]))
    output = tmp_path / "out"
    assert prepare(output, log, k_core=1) == 1
    said = capfdbinary.readouterr().err.decode()
    assert "3 of 1,000 lines are bad (0.30%; --max_bad_share allows 0.10%)" in said
    assert "missing_field 1, not_json 2" in said
    assert '"line_number": 998, "reason": "not_json"' in said
    kept = tmp_path / "out.bad_records"
    assert str(kept) in said
    assert sorted(tmp_path.iterdir()) == [log, kept]
    entries = next(kept.iterdir()).read_text().splitlines()
    assert [json.loads(entry)["content"] for entry in entries] == ["oops", "{}", "oops"]

    assert prepare(output, log, k_core=1, max_bad_share=0.003) == 0
    (written,) = (output / "bad_records").iterdir()
    assert written.read_text().splitlines() == entries
    counts = DatasetDir(output).read_manifest()["counts"]
    assert counts["bad_records"] == {"missing_field": 1, "not_json": 2}
    assert f"bad_records/{written.name}" in DatasetDir(output).verify()["files"]


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (b"", {}, "the input files hold no lines"),
        (b"u a b\nv a\n", {}, "the 5-core of 3 actions of 2 users is empty"),
        (
            b"1::2::3::900000000\n",
            {"since": "2001-01-01"},
            "no action is left of 1 lines",
        ),
        (b"u a b\nv a\n", {"since": "2001-01-01"}, "need times and ratings"),
        (b"u a b\nv a\n", {"min_rating": "3"}, "need times and ratings"),
        (b"u a b\nu c\n", {"format": "sequences"}, "user 'u' has more than one line"),
        (gzip.compress(b"u a b\n" * 99, mtime=0)[:-4], {}, "is a damaged gzip file"),
        (b"a,b\nc,d\n", {}, "fits none of the formats"),
        (
            b"u,i,t\nu1,i1,1600000000\n",
            {"format": "csv", "columns": "user=u,item=i,time=t", "min_rating": 1},
            "--min_rating needs ratings",
        ),
    ],
)
def test_logs_without_a_dataset(
    tmp_path, capfdbinary, no_tfdv, content, flags, message
):
    log = tmp_path / "log"
    log.write_bytes(content)
    assert prepare(tmp_path / "out", log, **flags) == 1
    said = capfdbinary.readouterr().err.decode()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == [log]


def test_a_glob_without_match_and_mixed_sequences(tmp_path, capfdbinary):
    assert prepare(tmp_path / "out", tmp_path / "none*") == 1
    assert b"`--input` matches no file" in capfdbinary.readouterr().err
    (tmp_path / "a").write_text("u a b\nv a\n")
    write_log(tmp_path / "b", REVIEWS)
    assert prepare(tmp_path / "out", tmp_path / "?") == 1
    assert b"cannot be joined with other logs" in capfdbinary.readouterr().err


def test_times_of_the_later_lines_are_looked_at_too(tmp_path, capsys):
    log, good = tmp_path / "log.csv", 250
    lines = [f"u{n % 9},i{n % 7},{1_500_000_000 + n}" for n in range(good)]
    lines += [f"u{n % 9},i{n % 7},{1 + n % 5}" for n in range(2 * good)]
    log.write_text("\n".join(["user,item,time", *lines]))
    columns = {"format": "csv", "columns": "user=user,item=item,time=time"}
    assert prepare(tmp_path / "output", log, **columns) == 1
    assert "500 of 750 times lie before 1973-03-03" in capsys.readouterr().err
    assert not (tmp_path / "output").exists()
    assert prepare(tmp_path / "output", log, time_unit="s", **columns) == 0
