"""The benchmark of the data job, end to end on a small log, and its arithmetic."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from beam_jobs import show
from benchmarks.data_jobs import stage_seconds
from benchmarks.process_memory import CommandFailed, run_watched
from benchmarks.shop_log import Review, read_reviews, write_copies, write_hostile
from pipelines.synthetic_log import LogSettings, write_log

ROOT = Path(__file__).parent.parent.parent
REVIEWS = [Review(f"u{n % 7}", f"i{n % 3}", n) for n in range(60)]


def lines_in(folder: Path) -> list[Review]:
    return [review for path in folder.iterdir() for review in read_reviews(path)]


def test_copies_keep_the_distributions(tmp_path: Path) -> None:
    assert write_copies(REVIEWS, tmp_path, 3) == 180
    written = lines_in(tmp_path)
    for name in ("user", "item"):
        once = Counter(Counter(getattr(r, name) for r in REVIEWS).values())
        thrice = Counter(Counter(getattr(r, name) for r in written).values())
        assert thrice == {count: 3 * number for count, number in once.items()}
    assert Counter(r.time for r in written) == {n: 3 for n in range(60)}


def test_a_hostile_log_has_a_bot_and_an_item_in_every_basket(tmp_path: Path) -> None:
    num_lines = write_hostile(REVIEWS, tmp_path, 2, num_bot_actions=500)
    written = lines_in(tmp_path)
    assert num_lines == len(written) == 120 + 500 + 14
    assert sum(r.user == "BOT" for r in written) == 500
    assert len({r.user for r in written if r.item == "BASKET"}) == 14
    assert {r.item for r in written if r.user == "BOT"} <= {r.item for r in written}


def test_stages_are_told_from_the_lines_of_progress() -> None:
    progress = (
        "[   0.1 s] a.gz: amazon\n[   4.5 s] read 1,000 lines: 7\n"
        "[   4.5 s] 5-core round 1: 3 users\n[   4.5 s] head: 1 users\n"
        "[   4.5 s] wrote 12 examples, 1 shards\n[   9.0 s] validated: no anomaly\n"
    )
    assert stage_seconds(progress) == {"pipeline": 4.5, "validation": 4.5}


def test_memory_of_children_counts() -> None:
    child = "import time; block = bytearray(200 << 20); time.sleep(1)"
    run = f"subprocess.run([sys.executable, '-c', {child!r}])"
    done = run_watched([sys.executable, "-c", f"import subprocess, sys; {run}"])
    assert 0.19 < done.peak_gib < 0.4
    assert done.seconds > 1
    with pytest.raises(CommandFailed, match="ended with status 3"):
        run_watched([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.slow
def test_last_line_is_the_report(tmp_path: Path) -> None:
    log = tmp_path / "log.json.gz"
    write_log(log, LogSettings(users=1500, items=400, intents=8))
    flags = ["--times", "1", "--pandas_times", "1", "--hostile_times", "0"]
    flags += ["--one_file_times", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.data_jobs", "--log", str(log), *flags],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert [entry["times"] for entry in report["sizes"]] == [1]
    for entry in (*report["sizes"], *report["pandas"]):
        assert entry["reviews_per_second"] > 0
        assert entry["peak_memory_gib"] > 0
    first = report["sizes"][0]
    expected = first["reviews_per_second"] / report["pandas"][0]["reviews_per_second"]
    assert report["vs_pandas"] == pytest.approx(expected, abs=0.006)
    assert set(first["stages"]) == {"pipeline", "validation"}
    plain = report["one_file"]["plain"]["reviews_per_second"]
    expected = plain / first["reviews_per_second"]
    assert report["one_file_ratio"] == pytest.approx(expected, abs=0.006)


@pytest.mark.slow
def test_pandas_finds_the_same_dataset(tmp_path: Path, capfdbinary) -> None:
    from beam_jobs import prepare_dataset
    from beam_jobs.sinks.encoding import parse_example, read_records

    folder = tmp_path / "logs"
    folder.mkdir()
    log = tmp_path / "log.json.gz"
    write_log(log, LogSettings(users=300, items=80, intents=1))
    write_copies(read_reviews(log), folder, 2)
    flags = ["--input", str(folder / "*.gz"), "--output", str(tmp_path / "a")]
    assert prepare_dataset.run(flags) == 0
    module = [sys.executable, "-m", "benchmarks.pandas_job", str(tmp_path / "b")]
    subprocess.run([*module, *map(str, folder.iterdir())], check=True, cwd=ROOT)
    vocabulary = (tmp_path / "b" / "item_vocab.txt").read_text().split("\n")
    lines = []
    for record in read_records(tmp_path / "b" / "test.tfrecord.gz"):
        found = parse_example(record)
        ids = [*found["item_ids"], *found["target_id"]]
        items = " ".join(vocabulary[number - 1] for number in ids)
        lines.append(f"{found['user_id'][0].decode()}\t{items}\n")
    capfdbinary.readouterr()
    assert show.run([str(tmp_path / "a")]) == 0
    assert capfdbinary.readouterr().out.decode() == "".join(sorted(lines))
