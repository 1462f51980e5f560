"""Report of the serving benchmark, in figures and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.batch_sizes import in_process_cpu_ms
from benchmarks.reporting import markdown_table

COLUMNS = (
    *("server", "offered_per_second", "answered_per_second"),
    *("p50_ms", "p99_ms", "p999_ms", "cpu_ms", "shed", "failed"),
)
RATIOS = ("vs_triton", "p99_vs_echo", "cpu_vs_in_process")
_HELD = ("server", "most_per_second", "held_per_second", "p50_ms", "p99_ms", "cpu_ms")


def headline(
    servers: dict[str, Any],
    compared: dict[str, Any],
    in_process: list[dict[str, Any]],
    batch_sizes: dict[int, int],
) -> dict[str, Any]:
    """Headline figures: the rate that is held, and how it compares.

    Args:
        servers: `most_per_second`, `held` and `rows` by name.
        compared: server and echo at one rate.
        in_process: processor time of a row by the size of batches.
        batch_sizes: number of requests by the size of their batches at the held load.
    """
    held = servers["server"]["held"]
    triton = servers.get("triton", {}).get("held")
    first, second = compared["server"]["p99_ms"], compared["echo_loop"]["p99_ms"]
    by_size = {str(entry["batch"]): entry["cpu_ms"] for entry in in_process}
    at_seen = in_process_cpu_ms(batch_sizes, in_process)
    return {
        "requests_per_second": _of(held, "answered_per_second"),
        "p50_ms": _of(held, "p50_ms"),
        "p99_ms": _of(held, "p99_ms"),
        "failed": sum(row["failed"] for row in servers["server"]["rows"]),
        "vs_triton": _ratio(
            _of(held, "answered_per_second"), _of(triton, "answered_per_second")
        ),
        "p99_vs_echo": _ratio(first, second),
        "cpu_vs_in_process": {
            name: _ratio(_of(held, "cpu_ms"), cpu_ms)
            for name, cpu_ms in {**by_size, "seen": at_seen}.items()
        },
    }


def _of(row: dict[str, Any] | None, name: str) -> Any:
    return row[name] if row else None


def _ratio(first: float | None, second: float | None) -> float | None:
    return round(first / second, 3) if first and second else None


def all_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Every load that was offered."""
    return [
        *(row for found in report["servers"].values() for row in found["rows"]),
        *report["compared"].values(),
        report["overload"]["calm"],
        report["overload"]["pressed"],
    ]


def page(report: dict[str, Any]) -> str:
    """The result as a page of Markdown."""
    where, settings, overload = (
        report["machine"],
        report["settings"],
        report["overload"],
    )
    flags = [
        f"{name}={Path(value).name}" if "_file" in name else flag
        for flag in report["flags"]
        for name, _, value in [flag.partition("=")]
    ]
    return (
        "# Serving under load\n\n"
        f"`python -m benchmarks.serving`, {report['date']}, {where['processor']}, "
        f"{where['cores']} cores shared with the load generator, {settings['items']:,} "
        f"items. A request is `recommend` with one history, k of {settings['max_k']} "
        f"and up to 3 items to exclude. {settings['passes']} passes of "
        f"{settings['seconds']:g} seconds a load, by turns; medians. Held: p99 of "
        f"{settings['max_p99_ms']:g} ms at most, nothing failed, and so at every lower "
        f"load. Flags of the server: `{' '.join(flags)}`. What the columns are: "
        "[benchmarks.md](../benchmarks.md#serving).\n\n"
        + markdown_table(_held_rows(report["servers"]), _HELD)
        + "\n\n"
        + f"Beside Triton's held rate: {report['vs_triton']}. p99 over the echo's at "
        f"half the held rate: {report['p99_vs_echo']}. Processor time of a request "
        "over that of a row in process, by the size of batches, and at those seen: "
        + ", ".join(
            f"{batch}: {ratio}" for batch, ratio in report["cpu_vs_in_process"].items()
        )
        + ".\n\nBatches seen at the held load, sampled requests by size: "
        + ", ".join(f"{size}: {n}" for size, n in report["batch_sizes"].items())
        + ".\n\n"
        + markdown_table(all_rows(report), COLUMNS)
        + "\n\n`bounded` has `--max_concurrent_requests=64` and is offered half, then "
        f"twice of the {overload['most_per_second']} a second that it can answer. "
        "Memory in MiB "
        f"before and after the loads: {report['memory_mib']}; before and after the "
        f"overload: {overload['memory_mib']}.\n"
    )


def _held_rows(servers: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "server": name,
            "most_per_second": found["most_per_second"],
            "held_per_second": _of(found["held"], "answered_per_second"),
            **{key: _of(found["held"], key) for key in ("p50_ms", "p99_ms", "cpu_ms")},
        }
        for name, found in servers.items()
    ]
