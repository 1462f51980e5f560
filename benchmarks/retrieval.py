"""`python -m benchmarks.retrieval`: recall, latency and memory of every index.

What is measured and what every key means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import Child, ChildError
from benchmarks.reporting import machine, markdown_table, say, table
from s4rec_tf.retrieval.kinds import TABLE_DTYPES

SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
WIDTH = 64
COLUMNS = (
    *("recall_at_20", "recall_at_20_excluding_50", "p50_ms", "p99_ms"),
    *("users_per_second", "memory_mib", "build_seconds"),
)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retrieval",
        allow_abbrev=False,
        description="Builds every kind of index over generated item vectors of several "
        "sizes, and measures recall, latency, memory and building time. The last line "
        "of standard output is one JSON object; docs/benchmarks.md explains it. About "
        "15 minutes on two cores.",
    )
    add = parser.add_argument
    add("--items", type=int, nargs="+", default=list(SIZES), help=f"sizes {SIZES}")
    add("--only", choices=list(TABLE_DTYPES), action="append", help="this kind alone")
    add("--users", type=int, default=256, help="queries whose recall counts (256)")
    add("--seconds", type=float, default=5.0, help="of each timing (5)")
    add("--seed", type=int, default=0, help="of the vectors (0)")
    add("--write", type=Path, metavar="FILE.md", help="write the table there too")
    args = parser.parse_args(argv)
    if min(args.items) < 100 or args.users < 32 or args.seconds <= 0:
        parser.error(
            "--items must be at least 100, --users at least 32, --seconds positive. "
            f"Received: {args.items}, {args.users}, {args.seconds}"
        )
    return args


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """An entry for each size and kind."""
    entries = []
    for num_items in args.items:
        with tempfile.TemporaryDirectory() as folder:
            _write_space(Path(folder), num_items, args)
            for name, dtypes in TABLE_DTYPES.items():
                if args.only and name not in args.only:
                    continue
                for dtype in dtypes:
                    say(f"{num_items:,} items: {name}, {dtype}")
                    measured = _measure_kind(folder, name, dtype, args.seconds)
                    own = {"items": num_items, "index": name, "table_dtype": dtype}
                    entries.append({**own, **measured})
                    # What is measured stays, though a later and larger one may fail.
                    say(json.dumps(entries[-1]))
    return entries


def _write_space(folder: Path, num_items: int, args: argparse.Namespace) -> None:
    import numpy as np

    from benchmarks import item_space

    say(f"{num_items:,} items: generating")
    space = item_space.generate(num_items, args.users, WIDTH, args.seed)
    for name, array in space._asdict().items():
        np.save(folder / f"{name}.npy", array)


def _measure_kind(folder: str, name: str, dtype: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.retrieval_worker", "--folder", folder]
    command += ["--index", name, "--table_dtype", dtype]
    # oneDNN is off in the server too. It keeps a copy of the table in its own layout.
    with Child(command, {"TF_ENABLE_ONEDNN_OPTS": "0"}) as worker:
        measured: dict[str, Any] = worker.ask("measure", seconds=seconds)
        return measured


def page(report: dict[str, Any]) -> str:
    """The result as a page of Markdown."""
    where, args = report["machine"], report["settings"]
    return (
        "# Retrieval at size\n\n"
        f"`python -m benchmarks.retrieval`, {report['date']}, {where['processor']}, "
        f"{where['cores']} cores, seed {args['seed']}, {args['users']} users, d = "
        f"{WIDTH}. What the columns are: [benchmarks.md](../benchmarks.md#retrieval); "
        "which index to take: [serving_performance.md](../serving_performance.md).\n\n"
        + markdown_table(report["entries"], ("items", "index", "table_dtype", *COLUMNS))
        + "\n"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints a table, then the report as one line of JSON."""
    args = parse_args(argv)
    try:
        entries = measure(args)
    except ChildError as error:
        sys.exit(f"retrieval: error: {error}")
    report = {
        "entries": entries,
        "settings": {"seed": args.seed, "users": args.users, "seconds": args.seconds},
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
    }
    if args.write:
        args.write.write_text(page(report), "utf-8")
    titles = {f"{e['items']} {e['index']} {e['table_dtype']}": e for e in entries}
    print(table(titles, COLUMNS))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
