"""`python -m benchmarks.swaps`: what a swap of versions does to requests and memory.

A server with a model of a given size is asked at a steady rate (open loop: a request
leaves when it is due, whether or not earlier ones are answered) while version after
version appears. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import grpc

MODEL = "swapped"
_AFTER_SECONDS = 1.0
"""Seconds that a swap lasts after the new version answers: the old one goes."""


class Sent(NamedTuple):
    """A request that was due at `due` and answered `seconds` later, if `ok`."""

    due: float
    seconds: float
    ok: bool
    version: int


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.swaps",
        allow_abbrev=False,
        description="Swaps versions of a model under load and reports the latency of a "
        "swap beside the steady one, and the server's memory.",
    )
    add = parser.add_argument
    add("--version", type=Path, help="BASE/NAME/N to serve; by default one is made")
    add("--items", type=int, default=12_000, help="of the model that is made (12000)")
    add("--swaps", type=int, default=50, help="number of swaps (50)")
    add("--rate", type=float, default=40.0, help="requests a second (40)")
    add("--steady_seconds", type=float, default=20.0, help="before the first swap (20)")
    add("--pause_seconds", type=float, default=2.0, help="between two swaps (2)")
    args = parser.parse_args(argv)
    if min(args.items, args.swaps, args.rate, args.steady_seconds) <= 0:
        parser.error("--items, --swaps, --rate and --steady_seconds must be above 0")
    return args


def make_version(root: Path, num_items: int) -> Path:
    """Exports a SASRec without training, whose answers cost what a trained one's do.

    Args:
        root: folder to write into.
        num_items: V.
    """
    import keras
    import numpy as np

    from benchmarks import small_datasets
    from s4rec_tf import spec
    from s4rec_tf.export import write
    from s4rec_tf.models import sasrec

    keras.utils.set_random_seed(1)
    generator = np.random.default_rng(1)
    sequences = generator.integers(1, num_items + 1, (200, 12)).tolist()
    sequences.append(list(range(1, num_items + 1)))
    dataset = spec.DatasetDir(
        small_datasets.write_dataset(root / "dataset", sequences, num_items)
    )
    model = sasrec.SASRec(sasrec.SASRecSettings(), num_items)
    counts = generator.integers(1, 100, num_items)
    return write.write_version(
        model, dataset, root / "made" / MODEL, popularity=counts, card={}
    )


class Load:
    """Asks at a steady rate until it is left."""

    def __init__(self, channel: grpc.Channel, request: bytes, rate: float) -> None:
        """Takes the channel, the request's bytes and the requests a second."""
        from serving.client import PREDICT
        from serving.client import wire_pb2 as wire

        self._call = channel.unary_unary(PREDICT)
        self._parse = wire.PredictResponse.FromString
        self._request = request
        self._gap = 1.0 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent: list[Sent] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._stop.is_set():
            due += self._gap
            if (left := due - time.perf_counter()) > 0:
                time.sleep(left)
            future = self._call.future(self._request, timeout=30)
            future.add_done_callback(lambda f, due=due: self._note(due, f))

    def _note(self, due: float, future: Any) -> None:
        seconds = time.perf_counter() - due
        is_ok = future.exception() is None
        version = 0
        if is_ok:
            version = self._parse(future.result()).model_spec.version.value
        self.sent.append(Sent(due, seconds, is_ok, version))


def request_of(version: Path) -> bytes:
    """The first one-row request among a version's warm-up records, for `MODEL`."""
    from serving.servables.version_files import warmup_requests

    request = warmup_requests(version)[0]
    request.model_spec.name = MODEL
    return bytes(request.SerializeToString())


@contextlib.contextmanager
def published(source: Path, base: Path, number: int) -> Iterator[None]:
    """Makes a copy appear as an exporter does; afterwards removes the last but one."""
    staged = base / f".incomplete-{number}"
    shutil.copytree(source, staged)
    staged.rename(base / str(number))
    yield
    shutil.rmtree(base / str(number - 2), ignore_errors=True)


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed, in ms."""
    ordered = sorted(values)
    position = max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)
    return round(1000 * ordered[position], 2)


def summary(
    sent: Sequence[Sent],
    swaps: Sequence[tuple[float, float]],
    memory: Sequence[float],
    first_swap: float,
) -> dict[str, Any]:
    """The report.

    Args:
        sent: all requests.
        swaps: begin and end of every swap.
        memory: resident MiB, before the first swap and after each.
        first_swap: when the steady time ended.
    """
    steady = [s.seconds for s in sent if s.ok and s.due < first_swap]
    during = [
        s.seconds
        for s in sent
        if s.ok and any(begin <= s.due <= end for begin, end in swaps)
    ]
    tenth = memory[min(10, len(memory) - 1)]
    return {
        "swaps": len(swaps),
        "requests": len(sent),
        "failed": sum(not s.ok for s in sent),
        "versions_that_answered": len({s.version for s in sent if s.ok}),
        "steady_p50_ms": percentile(steady, 0.5),
        "steady_p99_ms": percentile(steady, 0.99),
        "swap_p50_ms": percentile(during, 0.5),
        "swap_p99_ms": percentile(during, 0.99),
        "swap_seconds": round(sum(e - b for b, e in swaps) / len(swaps), 2),
        "memory_first_mib": round(memory[0]),
        "memory_10th_mib": round(tenth),
        "memory_last_mib": round(memory[-1]),
        "memory_growth_a_swap_mib": round(
            (memory[-1] - tenth) / max(1, len(memory) - 1 - 10), 3
        ),
    }


def measure(args: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Runs the benchmark in a folder."""
    source = args.version or make_version(root, args.items)
    base = root / MODEL
    base.mkdir()
    with published(source, base, 1):
        pass
    from benchmarks.server_child import started

    flags = ("--file_system_poll_wait_seconds", "0.2")
    with started(MODEL, base, root / "log", *flags) as server:
        from serving.client.channel import connect

        channel = connect(server.grpc_target, None)
        swaps, memory = [], []
        with Load(channel, request_of(source), args.rate) as load:
            time.sleep(3)
            load.sent.clear()
            time.sleep(args.steady_seconds)
            memory.append(resident_mib(server.pid))
            first_swap = time.perf_counter()
            for number in range(2, args.swaps + 2):
                begin = time.perf_counter()
                with published(source, base, number):
                    server.wait_for_version(number)
                time.sleep(_AFTER_SECONDS)
                swaps.append((begin, time.perf_counter()))
                memory.append(resident_mib(server.pid))
                time.sleep(args.pause_seconds)
                print(f"swap {number - 1}: {memory[-1]:.0f} MiB", flush=True)
        time.sleep(1)
        channel.close()
    return summary(load.sent, swaps, memory, first_swap)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    root = Path(tempfile.mkdtemp(prefix="swaps-"))
    try:
        print(json.dumps(measure(args, root)))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
