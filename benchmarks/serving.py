"""`python -m benchmarks.serving`: throughput and latency against offered load.

What is measured and what every key means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import kserve, load_tool, requests, served
from benchmarks.child import Child, ChildError
from benchmarks.load_tool import Load
from benchmarks.peers import PeerError
from benchmarks.reporting import machine, markdown_table, say

PREDICT = "/tensorflow.serving.PredictionService/Predict"
SHARES = (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Offered loads, over the rate that `_THREADS` calls at a time get."""

BATCHING = Path(__file__).parent.parent / "serving/batching_throughput.txt"
SERVER_FLAGS = (
    "--tensorflow_intra_op_parallelism=1",
    "--tensorflow_inter_op_parallelism=1",
    "--enable_batching",
)
_THREADS = 64
ECHOES = {"echo": ("threads", 2), "echo_loop": ("loop", 1)}
"""Kind and processes of each echo service: as many as it answers most calls by."""

_LARGEST_BATCH = 1024
_HELD_SHARE = 0.97
_CAPPED_SHARE = 0.1
_COMPARED = ("echo", "server")
_TURNS = 5


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        allow_abbrev=False,
        description="Offers rising loads to the embedded server, to echo services of "
        "the same gRPC library, and to NVIDIA Triton, on one machine shared with the "
        "load generator. The last line of standard output is one JSON object; "
        "docs/benchmarks.md explains it. About 12 minutes on two cores; needs Go.",
    )
    add = parser.add_argument
    add("--items", type=int, default=12_101, help="items of the export (12101)")
    add("--max_k", type=int, default=20, help="items of an answer (20)")
    add("--seconds", type=float, default=8.0, help="of each offered load (8)")
    add("--max_p99_ms", type=float, default=100.0, help="of a load that is held (100)")
    add(
        "--server_flag", action="append", default=[], help="one more flag of the server"
    )
    add("--peer", choices=("triton", "none"), default="triton", help="default triton")
    add("--write", type=Path, metavar="FILE.md", help="write the table there too")
    args = parser.parse_args(argv)
    if min(args.items / 100, args.seconds, args.max_k) < 1:
        parser.error(
            "--items must be at least 100, --seconds and --max_k at least 1. "
            f"Received: {args.items}, {args.seconds}, {args.max_k}"
        )
    return args


class Benchmark:
    """The measurements of one run of the command.

    Args:
        args: the command line.
        folder: for the export, requests and logs.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.export_dir = folder / "models" / requests.NAME
        self.predict, self.infer = requests.write(folder, args.items)
        self.flags = [
            *SERVER_FLAGS,
            f"--batching_parameters_file={BATCHING}",
            f"--grpc_max_threads={_THREADS}",
            *args.server_flag,
        ]

    def run(self) -> dict[str, Any]:
        """The report."""
        say(f"exporting a model of {self.args.items:,} items")
        module = [sys.executable, "-m", "benchmarks.serving_export"]
        subprocess.run(
            [*module, *map(str, (self.folder, self.args.items, self.args.max_k))],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        in_process = self._in_process()
        servers, compared = self._beside_each_other()
        overload = self._overload(servers["server"]["held"]["answered_per_second"])
        return self._report(in_process, servers, compared, overload)

    def _in_process(self) -> dict[str, Any]:
        say(f"in process, batches of {_LARGEST_BATCH}")
        module = [sys.executable, "-m", "benchmarks.in_process_worker"]
        with Child([*module, str(self.export_dir / "1")]) as worker:
            found: dict[str, Any] = worker.ask(
                "measure",
                num_items=self.args.items,
                batch=_LARGEST_BATCH,
                seconds=self.args.seconds,
            )
            return found

    def _beside_each_other(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All servers by turns, and two of them at half the rate that the echo holds.

        Each load is offered to one after the other before the next: what the machine
        loses or gains in speed meanwhile, it does for all.
        """
        with contextlib.ExitStack() as running:
            enter = running.enter_context
            ours = enter(
                served.embedded(self.export_dir, self.flags, self.folder / "log")
            )
            loads = {"server": self._load(ours.target)}
            size = loads["server"].saturate(_THREADS)["answer_bytes"]
            memory = ours.memory_mib()
            for name, (kind, count) in ECHOES.items():
                log = self.folder / f"{name}_log"
                echo = enter(served.echo(kind, size, _THREADS, count, log))
                loads[name] = self._load(echo.target)
            if self.args.peer == "triton":
                other = enter(served.on_triton(self.export_dir, self.folder))
                loads["triton"] = Load(
                    other.target, kserve.INFER, self.infer, self.args.seconds
                )
            servers = self._rising(loads)
            half = servers["echo"]["held"]["answered_per_second"] / 2
            compared = self._by_turns({name: loads[name] for name in _COMPARED}, half)
            servers["server"]["memory_mib"] = [memory, ours.memory_mib()]
        return servers, compared

    def _by_turns(self, loads: dict[str, Load], rate: float) -> dict[str, Any]:
        """One rate offered to each by turns, of which the turn of median p99 counts."""
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in loads}
        for _ in range(_TURNS):
            for name, load in loads.items():
                say(f"{name}: {rate:.0f} a second")
                rows[name].append(_row(name, load.offer(rate)))
        by_p99 = {
            name: sorted(found, key=lambda row: row["p99_ms"] or 1e9)
            for name, found in rows.items()
        }
        return {name: found[_TURNS // 2] for name, found in by_p99.items()}

    def _overload(self, held: float) -> dict[str, Any]:
        """A tenth of what was held as the capacity, and ten times that offered."""
        cap = max(1.0, _CAPPED_SHARE * held)
        flags = [*self.flags, f"--max_requests_per_second={cap:.1f}"]
        say(f"capped at {cap:.0f} requests a second, offered {10 * cap:.0f}")
        log = self.folder / "capped_log"
        with served.embedded(self.export_dir, flags, log) as ours:
            load = self._load(ours.target)
            calm = load.offer(cap / 2)
            memory = ours.memory_mib()
            pressed = load.offer(10 * cap)
            after = ours.memory_mib()
        row = _row("capped, ten times its capacity", pressed)
        return {
            "cap_per_second": round(cap, 1),
            "calm": _row("capped, half of its capacity", calm),
            "pressed": row,
            "shed": row["shed"],
            "failed": row["failed"],
            "shed_p99_ms": pressed["refused_ms"].get("p99"),
            "memory_mib": [memory, after],
        }

    def _load(self, target: str) -> Load:
        return Load(target, PREDICT, self.predict, self.args.seconds)

    def _rising(self, loads: dict[str, Load]) -> dict[str, Any]:
        """Rising loads on each server, and the highest of them that it holds."""
        most = {
            name: load.saturate(_THREADS)["answered_per_second"]
            for name, load in loads.items()
        }
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in loads}
        for share in SHARES:
            for name, load in loads.items():
                say(f"{name}: {share * most[name]:.0f} a second")
                rows[name].append(_row(name, load.offer(share * most[name])))
        found = {}
        for name in loads:
            held = [row for row in rows[name] if self._is_held(row)]
            found[name] = {
                "most_per_second": round(most[name], 1),
                "held": held[-1] if held else rows[name][0],
                "rows": rows[name],
            }
        return found

    def _is_held(self, row: dict[str, Any]) -> bool:
        answered = row["answered_per_second"] / row["offered_per_second"]
        is_quick = (row["p99_ms"] or 1e9) <= self.args.max_p99_ms
        is_whole = not row["failed"] and not row["shed"]
        return answered >= _HELD_SHARE and is_quick and is_whole

    def _report(
        self,
        in_process: dict[str, Any],
        servers: dict[str, Any],
        compared: dict[str, Any],
        overload: dict[str, Any],
    ) -> dict[str, Any]:
        server, peer = servers["server"], servers.get("triton")
        held = server["held"]
        rate = held["answered_per_second"]
        return {
            "requests_per_second": rate,
            "p50_ms": held["p50_ms"],
            "p99_ms": held["p99_ms"],
            "failed": sum(row["failed"] for row in server["rows"]) + overload["failed"],
            "vs_echo": round(rate / servers["echo"]["held"]["answered_per_second"], 3),
            "vs_echo_loop": round(
                rate / servers["echo_loop"]["held"]["answered_per_second"], 3
            ),
            "p99_vs_echo": round(
                (compared["server"]["p99_ms"] or 1e9) / compared["echo"]["p99_ms"], 2
            ),
            "vs_in_process": round(rate / in_process["rows_per_second"], 3),
            "vs_triton": peer and round(rate / peer["held"]["answered_per_second"], 3),
            "rows": [
                *(row for name in servers for row in servers[name]["rows"]),
                *compared.values(),
                overload["calm"],
                overload["pressed"],
            ],
            "server": server,
            "overload": overload,
            "in_process": in_process,
            "flags": self.flags,
            "settings": {
                name: getattr(self.args, name) for name in ("items", "max_k", "seconds")
            },
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
        }


COLUMNS = (
    *("server", "offered_per_second", "answered_per_second"),
    *("p50_ms", "p99_ms", "p999_ms", "shed", "failed"),
)


def _row(name: str, report: dict[str, Any]) -> dict[str, Any]:
    """An offered load as it is reported."""
    times, others = report["ok_ms"], dict(report["codes"])
    others.pop("OK", None)
    shed = others.pop("ResourceExhausted", 0)
    return {
        "server": name,
        "offered_per_second": round(report["offered_per_second"], 1),
        "answered_per_second": round(report["answered_per_second"], 1),
        "p50_ms": times.get("p50"),
        "p99_ms": times.get("p99"),
        "p999_ms": times.get("p99.9"),
        "shed": shed,
        "failed": sum(others.values()),
    }


def page(report: dict[str, Any]) -> str:
    """The result as a page of Markdown."""
    where, settings = report["machine"], report["settings"]
    ratios = (
        *("requests_per_second", "p50_ms", "p99_ms", "failed"),
        *("vs_echo", "p99_vs_echo", "vs_echo_loop", "vs_in_process", "vs_triton"),
    )
    overload = report["overload"]
    flags = [flag.replace(str(BATCHING), BATCHING.name) for flag in report["flags"]]
    return (
        "# Serving under load\n\n"
        f"`python -m benchmarks.serving`, {report['date']}, {where['processor']}, "
        f"{where['cores']} cores shared with the load generator, {settings['items']:,} "
        f"items, one history a request, {settings['max_k']} items an answer, "
        f"{settings['seconds']:g} seconds a load. Flags "
        f"of the server: `{' '.join(flags)}`. What the columns are: "
        "[benchmarks.md](../benchmarks.md#serving).\n\n"
        + markdown_table([report], ratios)
        + "\n\n"
        + markdown_table(report["rows"], COLUMNS)
        + f"\n\nOf what was offered to the capped server, {overload['shed']:,} calls "
        f"were shed, p99 {overload['shed_p99_ms']} ms. Memory in MiB "
        f"before and after the loads: {report['server']['memory_mib']}; before and "
        f"after the overload: {overload['memory_mib']}.\n"
    )


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
        args.write.write_text(page(report), "utf-8")
    print(markdown_table(report["rows"], COLUMNS))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
