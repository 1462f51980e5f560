"""`python -m benchmarks.streaming_memory`: memory of a training by size of its dataset.

A dataset folder's shards are taken several times over, so that everything grows but the
vocabulary. Each size is trained for an epoch, as a stream and in memory.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.process_memory import run_watched
from benchmarks.reporting import machine, markdown_table, say
from s4rec_tf import spec

SETTINGS = (
    *("epochs=1", "samples=sequence", "loss=sampled_softmax", "num_negatives=16"),
    *("dim=8", "num_layers=1", "max_length=10", "batch_size=2048", "seed=1"),
)
"""A small model: what is measured is the data."""
KINDS = ("streaming", "memory")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming_memory",
        allow_abbrev=False,
        description="Trains an epoch on a dataset folder whose shards are taken so "
        "many times over, and measures the most memory that it took.",
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="finished dataset folder")
    add("--times", type=int, nargs="+", default=[1, 10, 50], help="(1 10 50)")
    add("--write", type=Path, metavar="FILE.md", help="write the table there too")
    return parser.parse_args(argv)


def write_times(dataset: spec.DatasetDir, times: int, root: Path) -> None:
    """Writes a dataset folder that links to every shard of another several times."""
    manifest, files = dataset.read_manifest(), {}
    for name, entry in manifest["files"].items():
        for copy in range(times if name.startswith(spec.SPLITS) else 1):
            folder, _, base = name.rpartition("/")
            target = root / folder / (f"copy-{copy:03d}-{base}" if folder else base)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(dataset.root / name, target)
            files[str(target.relative_to(root))] = entry
    made = spec.DatasetDir(root)
    facts = json.loads(made.info_file.read_text("utf-8"))
    info = facts["info"]
    for name in ("num_users", "num_actions", "num_head_users"):
        info[name] *= times
    examples = info["split_examples"]
    info["split_examples"] = {split: times * n for split, n in examples.items()}
    made.info_file.unlink()
    made.info_file.write_text(json.dumps(facts), "utf-8")
    digest = spec.sha256_of_file(made.info_file)
    files[made.info_file.name] = {"sha256": digest}
    made.manifest.write_text(json.dumps({**manifest, "files": files}), "utf-8")


def measure(dataset: spec.DatasetDir, times: int) -> list[dict[str, Any]]:
    """The rows of one size, one of each kind."""
    rows = []
    with tempfile.TemporaryDirectory(dir=dataset.root.parent) as folder:
        root = Path(folder) / "dataset"
        write_times(dataset, times, root)
        info = spec.DatasetDir(root).info()
        for kind in KINDS:
            flags = ["--dataset", str(root), "--run_dir", str(Path(folder) / kind)]
            flags += ["--model", "sasrec", "--data", kind, "--quiet"]
            command = [sys.executable, "-m", "s4rec_tf.train", *flags, "--set"]
            done = run_watched([*command, *SETTINGS])
            size = {"users": info.num_users, "actions": info.num_actions}
            cost = {"peak_gib": round(done.peak_gib, 2), "seconds": round(done.seconds)}
            rows.append({"times": times, **size, "data": kind, **cost})
            say(f"{rows[-1]}")
    return rows


def page(table: str) -> str:
    """The figures as a page of Markdown."""
    computer = machine()
    return (
        "# Memory of a streamed dataset\n\n"
        f"`python -m benchmarks.streaming_memory`, {datetime.date.today()}, "
        f"{computer['processor']}, {computer['cores']} cores.\n\n{table}\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    dataset = spec.DatasetDir(args.dataset)
    rows = [row for times in args.times for row in measure(dataset, times)]
    table = markdown_table(rows, tuple(rows[0]))
    print(table)
    if args.write:
        args.write.write_text(page(table), "utf-8")
    print(json.dumps({"machine": machine(), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
