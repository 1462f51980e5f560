"""Reports of the training benchmarks."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import Any


def speeds(
    measured: dict[str, float], cost: dict[str, float], ceiling: float
) -> dict[str, Any]:
    """The speed of a model's training.

    Args:
        measured: steps, rows, pairs and seconds.
        cost: of a row: tokens and flops.
        ceiling: operations a second of a large matrix product.
    """
    rate = measured["rows"] / measured["seconds"]
    return {
        "users_per_second": round(rate, 1),
        "pairs_per_second": round(measured["pairs"] / measured["seconds"], 1),
        "tokens_per_second": round(rate * cost["tokens"], 1),
        "peak_ratio": round(rate * cost["flops"] / ceiling, 4),
        "ceiling_gflops": round(ceiling / 1e9, 1),
        "flops_per_user": round(cost["flops"]),
        "batch_size": round(measured["rows"] / measured["steps"]),
        "steps": round(measured["steps"]),
    }


def step_times(measured: dict[str, float]) -> dict[str, float]:
    """Mean and median milliseconds of a step."""
    return {
        "step": round(1e3 * measured["seconds"] / measured["steps"], 3),
        "median_step": round(measured["median_step_ms"], 3),
    }


def machine() -> dict[str, Any]:
    """Processor and cores."""
    model = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        names = [line.split(":")[1] for line in lines if line.startswith("model name")]
        model = names[0].strip() if names else model
    return {"processor": model, "cores": len(os.sched_getaffinity(0))}


def say(what: str) -> None:
    """Tells of progress."""
    print(what, file=sys.stderr, flush=True)


def markdown_table(entries: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    """Some figures of every entry, for a page of Markdown.

    Args:
        entries: of the report.
        names: keys of an entry.
    """
    lines = [names, ["---"] * len(names)]
    lines += [[_cell(entry[name]) for name in names] for entry in entries]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(rows: dict[str, dict[str, Any]], names: tuple[str, ...]) -> str:
    """Some figures of every row, for reading.

    Args:
        rows: entries of the report by what they are of.
        names: keys of an entry.
    """
    lines = [" ".join(f"{name:>18}" for name in ("", *names))]
    for title, entry in rows.items():
        cells = [f"{entry[name]!s:>18}" for name in names]
        lines.append(" ".join([title.rjust(18)[:22], *cells]))
    return "\n".join(lines)
