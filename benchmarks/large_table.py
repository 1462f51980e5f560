"""`python -m benchmarks.large_table`: an item table of millions, trained to served.

First the cost of a training step by number of items, then one chain of the commands on
a generated dataset: train, export, serve, ask. docs/benchmarks.md explains the figures.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import requests, server_child
from benchmarks.child import Child
from benchmarks.process_memory import peak_bytes, run_watched
from benchmarks.reporting import machine, markdown_table, say
from serving.client.client import PREDICT

ACTIONS_A_USER = 200
"""Of the chain's users, who together act once on every item."""
SETTINGS = (
    *("loss=sampled_softmax", "optimizer=lazy_adam", "samples=window"),
    *("epochs=1", "seed=1"),
)
INDICES = (("scann", "int8"), ("streaming", "bfloat16"))
_REQUESTS, _WARM_UP = 220, 20
_STEP = (
    *("items", "step_ms", "cpu_ms", "encoder_ms", "loss_ms", "optimizer_ms"),
    *("rows_ms", "peak_gib"),
)
_ROWS, _DIM = 256 * 256, 64
"""Negatives of a batch, and the width of the shape's table."""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large_table",
        allow_abbrev=False,
        description="Measures a training step by number of items, and trains, exports "
        "and serves a table of the largest number. About half an hour on two cores.",
    )
    add = parser.add_argument
    sizes = [10_000, 100_000, 1_000_000, 2_000_000]
    add("--items", type=int, nargs="+", default=sizes, help="sizes (10^4 to 2 * 10^6)")
    add("--seconds", type=float, default=8.0, help="of each timing of steps (8)")
    add("--write", type=Path, metavar="FILE.md", help="write the tables there too")
    return parser.parse_args(argv)


def step_cost(num_items: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of a step of SASRec with sampled softmax and row-wise updates."""
    say(f"a step with {num_items:,} items")
    command = [sys.executable, "-m", "benchmarks.training_worker", "--model", "sasrec"]
    command += ["--shape", "million", "--items", str(num_items)]
    with Child(command) as child:
        measured = child.ask("measure", warm_up=5.0, seconds=seconds, max_steps=10**9)
        peak = child.ask("peak_memory_gib")
        parts = child.ask("breakdown", seconds=seconds / 4)
    found = {
        "items": num_items,
        "step_ms": measured["median_step_ms"],
        "cpu_ms": measured["cpu_step_ms"],
        "encoder_ms": parts["encoder"],
        "loss_ms": parts["logits_and_loss"],
        "optimizer_ms": parts["optimizer"],
        "rows_ms": rows_cost(num_items, seconds / 4),
        "peak_gib": peak,
    }
    return {name: round(value, 2) for name, value in found.items()}


def rows_cost(num_items: int, seconds: float) -> float:
    """Processor milliseconds of NumPy reading and writing a batch's rows.

    The rows are random ones of three tables, as of the items and Adam's moments: what
    memory alone costs at this size.
    """
    import numpy as np

    generator = np.random.default_rng(0)
    tables = [np.full((num_items, _DIM), 0.5, np.float32) for _ in range(3)]
    began = time.perf_counter()
    spent, count = 0.0, 0
    while time.perf_counter() - began < seconds or not count:
        rows = np.unique(generator.integers(0, num_items, _ROWS))
        before = time.process_time()
        for table in tables:
            table[rows] = 0.9 * table[rows]
        spent, count = spent + time.process_time() - before, count + 1
    return 1e3 * spent / count


def write_dataset(root: Path, num_items: int) -> None:
    """Writes a dataset in which every item has an action; it loads TensorFlow."""
    import numpy as np

    from benchmarks import small_datasets

    order = np.random.default_rng(0).permutation(num_items) + 1
    rows = [
        part.tolist() for part in np.array_split(order, num_items // ACTIONS_A_USER)
    ]
    small_datasets.write_dataset(root, rows, num_items, num_shards=4)


class Chain:
    """The commands on one dataset, each watched.

    Args:
        folder: of everything that is made.
        num_items: V.
    """

    def __init__(self, folder: Path, num_items: int) -> None:
        self.folder, self.num_items = folder, num_items
        self.rows: list[dict[str, Any]] = []
        self._dataset = ["--dataset", str(folder / "dataset")]
        self._run = ["--run_dir", str(folder / "run")]

    def run(self) -> list[dict[str, Any]]:
        """Runs all of it; gives a row for each command."""
        say(f"writing a dataset of {self.num_items:,} items")
        write_dataset(self.folder / "dataset", self.num_items)
        train = [*self._dataset, *self._run, "--model", "sasrec", "--quiet"]
        self._watch("train", "s4rec_tf.train", *train, "--set", *SETTINGS)
        for index, dtype in INDICES:
            self._export_and_serve(index, dtype)
        return self.rows

    def _export_and_serve(self, index: str, dtype: str) -> None:
        base, title = self.folder / index / requests.NAME, f"{index}, {dtype}"
        flags = [*self._dataset, *self._run, "--export_dir", str(base)]
        flags += ["--index", index, "--table_dtype", dtype]
        row = self._watch(f"export {title}", "s4rec_tf.export", *flags)
        files = [path for path in base.rglob("*") if path.is_file()]
        row["mib"] = round(sum(path.stat().st_size for path in files) / 2**20)
        self.rows.append(self._serve(base, title))
        say(f"{self.rows[-1]}")

    def _watch(self, title: str, module: str, *flags: str) -> dict[str, Any]:
        say(title)
        done = run_watched([sys.executable, "-m", module, *flags])
        row = {"command": title, "peak_gib": round(done.peak_gib, 2), "mib": ""}
        row |= {"seconds": round(done.seconds), "p50_ms": "", "p99_ms": ""}
        self.rows.append(row)
        say(f"{row}")
        return row

    def _serve(self, base: Path, title: str) -> dict[str, Any]:
        import numpy as np

        began = time.perf_counter()
        log = base.parent / "server.log"
        with server_child.started(requests.NAME, base, log) as server:
            server.wait_for_version(1)
            ready = time.perf_counter() - began
            times = ask(server.grpc_target, self.num_items)
            peak = peak_bytes(server.pid) / 2**30
        middle, last = np.percentile(times, [50, 99]).round(1)
        row = {"command": f"serve {title}", "peak_gib": round(peak, 2), "mib": ""}
        return row | {"seconds": round(ready), "p50_ms": middle, "p99_ms": last}


def ask(target: str, num_items: int) -> list[float]:
    """Milliseconds of requests for 20 items, one after the other."""
    import grpc

    times = []
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary(PREDICT)
        for question in requests.questions(num_items, _REQUESTS):
            began = time.perf_counter()
            assert call(requests.predict(question), timeout=60)
            times.append(1e3 * (time.perf_counter() - began))
    return times[_WARM_UP:]


def page(report: dict[str, Any]) -> str:
    """The figures as a page of Markdown."""
    computer, rows = report["machine"], report["chain"]
    return (
        "# A table of millions of items\n\n"
        f"`python -m benchmarks.large_table`, {datetime.date.today()}, "
        f"{computer['processor']}, {computer['cores']} cores, seed 1.\n\n"
        + markdown_table(report["steps"], _STEP)
        + "\n\n"
        + markdown_table(rows, tuple(rows[0]))
        + "\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    steps = [step_cost(num_items, args.seconds) for num_items in args.items]
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(Path(folder), max(args.items)).run()
    report = {"machine": machine(), "steps": steps, "chain": chain}
    print(page(report))
    if args.write:
        args.write.write_text(page(report), "utf-8")
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
