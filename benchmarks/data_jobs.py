"""`python -m benchmarks.data_jobs`: reviews a second and memory of the data job.

What is measured and what every key means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.process_memory import CommandFailed, Finished, run_watched
from benchmarks.reporting import machine, say, table
from benchmarks.shop_log import read_reviews, source_log, write_copies, write_hostile

_STAGES = (
    ("pipeline", r"read [\d,]+ lines"),
    ("validation", r"validated: "),
)
"""Stages in order, and the line of progress that ends each."""

_LINE = re.compile(r"^\[ *([\d.]+) s\] (.*)$", re.MULTILINE)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data_jobs",
        allow_abbrev=False,
        description="Measures the data job from gzip JSON lines to a finished dataset "
        "folder, statistics included, at several times the size of Amazon Beauty "
        "(../shared/data; a synthetic log of its size where that is not at hand), and "
        "a pandas script beside it. The last line of standard output is one JSON "
        "object; docs/benchmarks.md explains it. About 15 minutes on two cores.",
    )
    add = parser.add_argument
    add("--times", type=int, nargs="+", default=[1, 10, 50], help="sizes (1 10 50)")
    add("--pandas_times", type=int, nargs="*", default=[1, 10], help="pandas' (1 10)")
    add(
        "--hostile_times", type=int, default=10, help="size of the hostile log; 0: none"
    )
    add(
        "--one_file_times",
        type=int,
        default=10,
        help="size that is also read as one plain and as one gzip file; 0: none",
    )
    add("--log", type=Path, help="another log than Beauty, Amazon's JSON lines, gzip")
    add("--folder", type=Path, help="for logs and datasets, removed at the end")
    args = parser.parse_args(argv)
    if min(args.times) < 1 or min(args.pandas_times, default=1) < 1:
        parser.error("--times and --pandas_times must be at least 1")
    return args


def stage_seconds(progress: str) -> dict[str, float]:
    """Seconds of every stage, from the job's lines of progress."""
    stages, start = {}, 0.0
    lines = [(float(end), text) for end, text in _LINE.findall(progress)]
    for name, pattern in _STAGES:
        ends = [end for end, text in lines if re.match(pattern, text)]
        if ends:
            stages[name], start = round(ends[-1] - start, 1), ends[-1]
    return stages


def entry_of(times: int, num_lines: int, done: Finished) -> dict[str, Any]:
    """The report of a run."""
    return {
        "times": times,
        "reviews": num_lines,
        "reviews_per_second": round(num_lines / done.seconds),
        "peak_memory_gib": round(done.peak_gib, 2),
        "seconds": round(done.seconds, 1),
    }


class Benchmark:
    """The measurements of one run of the command.

    Args:
        args: the command line.
        folder: for logs and datasets.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args = args
        self.folder = folder
        self.log = args.log or source_log(folder)
        self.reviews = read_reviews(self.log)

    def run(self) -> dict[str, Any]:
        """The report."""
        pandas_times = set(self.args.pandas_times)
        sizes, peers, one_file = [], [], None
        for times in sorted({*self.args.times, *pandas_times}):
            logs = self._new_folder("logs")
            num_lines = write_copies(self.reviews, logs, times)
            if times in self.args.times:
                sizes.append(self._measure_job(times, num_lines, logs))
            if times == self.args.one_file_times and times in self.args.times:
                one_file = self._measure_one_file(sizes[-1], num_lines, logs)
            if times in pandas_times:
                peers.append(self._measure_pandas(times, num_lines, logs))
        report = {
            "sizes": sizes,
            "vs_pandas": _ratio(sizes, peers),
            "pandas": peers,
            "marginal_microseconds": _marginal(sizes),
            "bytes_per_action": _bytes_per_action(sizes),
            "one_file": one_file,
            "one_file_ratio": one_file and one_file["ratio"],
            "hostile": self._measure_hostile(),
            "log": self.log.name,
            "machine": machine(),
        }
        return report

    def _measure_hostile(self) -> dict[str, Any] | None:
        times = self.args.hostile_times
        if not times:
            return None
        logs = self._new_folder("logs")
        num_lines = write_hostile(self.reviews, logs, times)
        return self._measure_job(times, num_lines, logs)

    def _measure_one_file(
        self, many: dict[str, Any], num_lines: int, logs: Path
    ) -> dict[str, Any]:
        """The same lines as one plain file, and as one gzip file."""
        folder = self._new_folder("one")
        found = {}
        for name, opened in (("plain", open), ("gzip", gzip.open)):
            path = folder / f"{name}.json"
            with opened(path, "wb") as whole:
                for part in sorted(logs.iterdir()):
                    whole.write(gzip.decompress(part.read_bytes()))
            say(f"{num_lines:,} reviews in one {name} file: the data job")
            found[name] = self._measure_job(many["times"], num_lines, folder, path.name)
            path.unlink()
        rate = found["plain"]["reviews_per_second"]
        return {**found, "ratio": round(rate / many["reviews_per_second"], 2)}

    def _measure_job(
        self, times: int, num_lines: int, logs: Path, pattern: str = "*.gz"
    ) -> dict[str, Any]:
        say(f"{num_lines:,} reviews: the data job")
        output = self._new_folder("output")
        output.rmdir()
        module = [sys.executable, "-m", "beam_jobs.prepare_dataset"]
        done = run_watched(
            [*module, "--input", str(logs / pattern), "--output", str(output)]
        )
        stages = stage_seconds(done.errors)
        return {**entry_of(times, num_lines, done), "stages": stages}

    def _measure_pandas(self, times: int, num_lines: int, logs: Path) -> dict[str, Any]:
        say(f"{num_lines:,} reviews: pandas")
        output = self._new_folder("output")
        output.rmdir()
        paths = map(str, sorted(logs.iterdir()))
        module = [sys.executable, "-m", "benchmarks.pandas_job"]
        return entry_of(times, num_lines, run_watched([*module, str(output), *paths]))

    def _new_folder(self, name: str) -> Path:
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


def _ratio(sizes: list[dict[str, Any]], peers: list[dict[str, Any]]) -> float | None:
    """The job's rate over pandas', at the largest size that both did."""
    rates = {entry["times"]: entry["reviews_per_second"] for entry in sizes}
    both = [entry for entry in peers if entry["times"] in rates]
    if not both:
        return None
    return round(rates[both[-1]["times"]] / both[-1]["reviews_per_second"], 2)


def _bytes_per_action(sizes: list[dict[str, Any]]) -> int | None:
    """Memory that each action more takes, from the smallest size to the largest."""
    if len(sizes) < 2:
        return None
    gib = sizes[-1]["peak_memory_gib"] - sizes[0]["peak_memory_gib"]
    return round(gib * 2**30 / (sizes[-1]["reviews"] - sizes[0]["reviews"]))


def _marginal(sizes: list[dict[str, Any]]) -> list[float]:
    """Microseconds that each review more costs, from one size to the next."""
    costs = []
    for less, more in itertools.pairwise(sizes):
        seconds = more["seconds"] - less["seconds"]
        costs.append(round(1e6 * seconds / (more["reviews"] - less["reviews"]), 1))
    return costs


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints a table, then the report as one line of JSON."""
    args = parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            report = Benchmark(args, Path(folder)).run()
    except CommandFailed as error:
        sys.exit(f"data_jobs: error: {error}")
    rows = {f"job, {entry['times']}x": entry for entry in report["sizes"]}
    rows |= {f"pandas, {entry['times']}x": entry for entry in report["pandas"]}
    for name in ("plain", "gzip") if report["one_file"] else ():
        rows[f"job, one {name} file"] = report["one_file"][name]
    if report["hostile"]:
        rows["job, hostile"] = report["hostile"]
    print(table(rows, ("reviews_per_second", "peak_memory_gib", "seconds")))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
