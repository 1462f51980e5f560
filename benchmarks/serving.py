"""`python -m benchmarks.serving`: throughput and latency against offered load.

What is measured and what every key means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    batch_sizes,
    held_load,
    kserve,
    load_tool,
    requests,
    served,
    serving_page,
)
from benchmarks.child import Child, ChildError
from benchmarks.held_load import Offered
from benchmarks.load_tool import Load
from benchmarks.peers import PeerError
from benchmarks.reporting import machine, markdown_table, say
from benchmarks.served import Served

PREDICT = "/tensorflow.serving.PredictionService/Predict"
REST = f"/v1/models/{requests.NAME}/versions/1:predict"
SHARES = (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Offered loads, over the rate that `_THREADS` calls at a time get."""

BATCHING = Path(__file__).parent.parent / "serving/batching_throughput.txt"
SERVER_FLAGS = (
    "--tensorflow_intra_op_parallelism=1",
    "--tensorflow_inter_op_parallelism=1",
    "--enable_batching",
)
IN_PROCESS_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_THREADS = 64
ECHOES = {"echo": ("threads", 2), "echo_loop": ("loop", 1)}
"""Kind and processes of each echo service: as many as it answers most calls by."""

_COMPARED = ("echo_loop", "server")
_TURNS = 5


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        allow_abbrev=False,
        description="Offers rising loads to the embedded server over gRPC and REST, to "
        "echo services of the same libraries, and to NVIDIA Triton, by turns, on one "
        "machine shared with the load generator. The last line of standard output is "
        "one JSON object; docs/benchmarks.md explains it. About 25 minutes on two "
        "cores; needs Go.",
    )
    add = parser.add_argument
    add("--items", type=int, default=12_101, help="items of the export (12101)")
    add("--max_k", type=int, default=20, help="items of an answer (20)")
    add("--seconds", type=float, default=8.0, help="of each offered load (8)")
    add("--passes", type=int, default=3, help="over all loads, of which medians (3)")
    add("--max_p99_ms", type=float, default=50.0, help="of a load that is held (50)")
    add(
        "--server_flag", action="append", default=[], help="one more flag of the server"
    )
    add("--peer", choices=("triton", "none"), default="triton", help="default triton")
    add(
        "--processes",
        type=int,
        default=1,
        help="of one more embedded server, which share its gRPC port; by default none",
    )
    add("--write", type=Path, metavar="FILE.md", help="write the table there too")
    args = parser.parse_args(argv)
    if min(args.items / 100, args.seconds, args.max_k, args.passes) < 1:
        parser.error(
            "--items must be at least 100, --seconds, --max_k and --passes at least 1. "
            f"Received: {args.items}, {args.seconds}, {args.max_k}, {args.passes}"
        )
    return args


@dataclasses.dataclass(frozen=True)
class Target:
    """A server that is asked over one of its ports.

    Attributes:
        name: in the report.
        load: calls to it.
        cpu_seconds: gives the processor time that it has taken.
    """

    name: str
    load: Load
    cpu_seconds: Callable[[], float]

    def offer(self, rate: float) -> Offered:
        """Offers so many calls a second."""
        say(f"{self.name}: {rate:.0f} a second")
        before = self.cpu_seconds()
        report = self.load.offer(rate)
        return held_load.read(self.name, report, self.cpu_seconds() - before)


class Benchmark:
    """The measurements of one run of the command.

    Args:
        args: the command line.
        folder: for the export, requests and logs.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.export_dir = folder / "models" / requests.NAME
        self.flags = [
            *SERVER_FLAGS,
            f"--batching_parameters_file={BATCHING}",
            f"--grpc_max_threads={_THREADS}",
            *args.server_flag,
        ]

    def run(self) -> dict[str, Any]:
        """The report."""
        requests.write(self.folder, self.args.items, self.args.max_k)
        say(f"exporting a model of {self.args.items:,} items")
        module = [sys.executable, "-m", "benchmarks.serving_export"]
        subprocess.run(
            [*module, *map(str, (self.folder, self.args.items, self.args.max_k))],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        in_process = self._in_process()
        found = self._beside_each_other()
        server = found["servers"]["server"]
        sizes = self._batch_sizes(server["held"] or server["rows"][0])
        overload = self._overload(server["most_per_second"])
        settings = {
            name: getattr(self.args, name)
            for name in (
                "items",
                "max_k",
                "seconds",
                "passes",
                "max_p99_ms",
                "processes",
            )
        }
        return {
            **serving_page.headline(
                found["servers"], found["compared"], in_process, sizes
            ),
            **found,
            "batch_sizes": sizes,
            "overload": overload,
            "in_process": in_process,
            "flags": self.flags,
            "settings": settings,
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
        }

    def _in_process(self) -> list[dict[str, Any]]:
        module = [sys.executable, "-m", "benchmarks.in_process_worker"]
        with Child([*module, str(self.export_dir / "1")]) as worker:
            passes = [
                [self._measured(worker, batch) for batch in IN_PROCESS_BATCHES]
                for _ in range(self.args.passes)
            ]
        return [
            {key: statistics.median_low(row[key] for row in rows) for key in rows[0]}
            for rows in zip(*passes, strict=True)
        ]

    def _measured(self, worker: Child, batch: int) -> dict[str, float]:
        say(f"in process, batches of {batch}")
        found: dict[str, float] = worker.ask(
            "measure",
            num_items=self.args.items,
            batch=batch,
            seconds=self.args.seconds / len(IN_PROCESS_BATCHES),
        )
        return found

    def _beside_each_other(self) -> dict[str, Any]:
        """All servers by turns; then two at half the rate that the server holds."""
        with contextlib.ExitStack() as running:
            log = self.folder / "log"
            ours = running.enter_context(
                served.embedded(self.export_dir, self.flags, log)
            )
            targets = self._targets(running, ours)
            memory = ours.memory_mib()
            servers = self.rising(targets)
            held = servers["server"]["held"]
            half = (held or servers["server"]["rows"][0])["answered_per_second"] / 2
            compared = self.by_turns({name: targets[name] for name in _COMPARED}, half)
            memory_mib = [memory, ours.memory_mib()]
        return {"servers": servers, "compared": compared, "memory_mib": memory_mib}

    def _targets(
        self, running: contextlib.ExitStack, ours: Served
    ) -> Mapping[str, Target]:
        targets = {
            "server": self._target("server", ours),
            "server_rest": self._target("server_rest", ours, is_http=True),
        }
        if (count := self.args.processes) > 1:
            several = (self.export_dir, self.flags, self.folder / "several_log", count)
            running_several = running.enter_context(served.embedded(*several))
            targets["servers"] = self._target("servers", running_several)
        sizes = {
            name: target.load.saturate(_THREADS)["answer_bytes"]
            for name, target in targets.items()
        }
        echoes = {name: (*kind, sizes["server"]) for name, kind in ECHOES.items()}
        echoes["echo_rest"] = ("rest", 1, sizes["server_rest"])
        for name, (kind, count, size) in echoes.items():
            log = self.folder / f"{name}_log"
            echo = running.enter_context(served.echo(kind, size, _THREADS, count, log))
            targets[name] = self._target(name, echo, is_http=kind == "rest")
        if self.args.peer == "triton":
            other = running.enter_context(
                served.on_triton(self.export_dir, self.folder)
            )
            infer = self.folder / "infer"
            load = Load(other.target, kserve.INFER, infer, self.args.seconds)
            targets["triton"] = Target("triton", load, other.cpu_seconds)
        return targets

    def _target(self, name: str, server: Served, is_http: bool = False) -> Target:
        load = Load(
            (server.rest_target or server.target) if is_http else server.target,
            REST if is_http else PREDICT,
            self.folder / ("rest" if is_http else "predict"),
            self.args.seconds,
            is_http=is_http,
        )
        return Target(name, load, server.cpu_seconds)

    def rising(self, targets: Mapping[str, Target]) -> dict[str, Any]:
        """Rising loads on each server, and the highest of them that it holds.

        Each share is offered to one after the other before the next, and all of that
        `--passes` times: what the machine loses or gains in speed meanwhile, it does
        for all.
        """
        most = {
            name: target.load.saturate(_THREADS)["answered_per_second"]
            for name, target in targets.items()
        }
        passes: dict[tuple[str, float], list[Offered]] = {}
        for _ in range(self.args.passes):
            for share in SHARES:
                for name, target in targets.items():
                    offered = target.offer(share * most[name])
                    passes.setdefault((name, share), []).append(offered)
        found = {}
        for name in targets:
            rows = [held_load.median(passes[name, share]) for share in SHARES]
            held = held_load.highest_held(rows, self.args.max_p99_ms)
            found[name] = {
                "most_per_second": round(most[name], 1),
                "held": held and dataclasses.asdict(held),
                "rows": list(map(dataclasses.asdict, rows)),
            }
        return found

    def by_turns(self, targets: Mapping[str, Target], rate: float) -> dict[str, Any]:
        """One rate offered to each by turns; medians."""
        rows: dict[str, list[Offered]] = {name: [] for name in targets}
        for _ in range(_TURNS):
            for name, target in targets.items():
                rows[name].append(target.offer(rate))
        return {
            name: dataclasses.asdict(held_load.median(found))
            for name, found in rows.items()
        }

    def _batch_sizes(self, held: Mapping[str, Any]) -> dict[int, int]:
        """Sizes of batches at the held load, by an export that answers them."""
        base = self.folder / "counting" / requests.NAME
        log = self.folder / "counting_log"
        with served.embedded(base, self.flags, log) as ours:
            target = self._target("counting", ours)
            return batch_sizes.seen(
                ours.target,
                self.folder / "predict",
                lambda: target.offer(held["offered_per_second"]),
            )

    def _overload(self, most: float) -> dict[str, Any]:
        """Half of what the server can answer, then twice that, of a bounded server."""
        flags = [*self.flags, f"--max_concurrent_requests={_THREADS}"]
        log = self.folder / "bounded_log"
        with served.embedded(self.export_dir, flags, log) as ours:
            target = self._target("bounded", ours)
            calm = target.offer(most / 2)
            memory = ours.memory_mib()
            pressed = target.offer(2 * most)
            memory_mib = [memory, ours.memory_mib()]
        return {
            "most_per_second": most,
            "calm": dataclasses.asdict(calm),
            "pressed": dataclasses.asdict(pressed),
            "memory_mib": memory_mib,
        }


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints a table, then the report as one line of JSON."""
    args = parse_args(argv)
    try:
        load_tool.build()
        with tempfile.TemporaryDirectory() as folder:
            report = Benchmark(args, Path(folder)).run()
    except (
        ChildError,
        PeerError,
        load_tool.LoadError,
        served.ServerError,
        subprocess.CalledProcessError,
    ) as error:
        sys.exit(f"serving: error: {error}")
    if args.write:
        args.write.write_text(serving_page.page(report), "utf-8")
    print(markdown_table(serving_page.all_rows(report), serving_page.COLUMNS))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
