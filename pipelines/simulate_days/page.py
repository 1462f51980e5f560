"""The page of simulated days: quality, time and disk by day."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.experiments.provenance import code_version, machine
from pipelines.simulate_days.days import Row
from s4rec_tf.atomic_files import write_bytes
from s4rec_tf.report_page.blocks import Block, Figure, Heading, Paragraph, Table
from s4rec_tf.report_page.figures import line_plot
from s4rec_tf.report_page.page import as_html, as_markdown

TITLE = "Days without hands, simulated"
_HEADER = (
    *("day", "users", "items", "version before", "day's model", "rebuild"),
    *("rebuild - day's, 95 %", "seconds", "rebuild's seconds", "MiB"),
)


def write(path: Path, rows: Sequence[Row], args: Mapping[str, Any]) -> None:
    """Writes PATH.html and PATH.md."""
    blocks = page_blocks(rows, args)
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, render in ((".html", as_html), (".md", as_markdown)):
        write_bytes(path.with_suffix(suffix), render(TITLE, blocks).encode())


def page_blocks(rows: Sequence[Row], args: Mapping[str, Any]) -> list[Block]:
    """The page.

    Args:
        rows: of all days.
        args: days, users_a_day, seed and train of the command line.
    """
    measured = [row for row in rows if "daily" in row]
    refused = [row for row in rows if row["refusal"]]
    return [
        Paragraph(_about(args)),
        Paragraph(_summary(rows, measured)),
        Heading(2, "Quality"),
        _figure(
            "NDCG@20 of users who acted on the day",
            {
                "version before": _points(measured, "before"),
                "day's model": _points(measured, "daily"),
                "rebuild from scratch": _points(measured, "rebuild"),
            },
        ),
        Heading(2, "Time and disk"),
        _figure(
            "seconds",
            {
                "day, all steps": _points(measured, "seconds"),
                "rebuild, without export and server": _points(
                    measured, "rebuild_seconds"
                ),
            },
        ),
        _figure("MiB below the base folder", {"all": _mebibytes(measured)}),
        Table(_HEADER, [_row(row) for row in measured]),
        *(
            Paragraph(f"Day {row['day']}: {row['refusal']}", "warning")
            for row in refused
        ),
    ]


def _about(args: Mapping[str, Any]) -> str:
    return (
        f"Drawn by python -m pipelines.simulate_days --days {args['days']} "
        f"--users_a_day {args['users_a_day']} --seed {args['seed']} with "
        f"{' '.join(args['train'])}; {datetime.now(UTC).date().isoformat()}, "
        f"{machine('tensorflow')}, code {code_version()}. Targets are the last actions "
        "of users who acted on the day; no model was trained on them. The first day, a "
        "history of 30 days, is not drawn. Commands ran in copies of one process that "
        "has TensorFlow loaded; each takes some seconds more as `run_day` starts it."
    )


def _summary(rows: Sequence[Row], measured: Sequence[Row]) -> str:
    if not measured:
        return "No day was measured."
    gaps = [row["rebuild"] - row["daily"] for row in measured]
    apart = sum(row["interval"][0] > 0 or row["interval"][1] < 0 for row in measured)
    refused = sum(bool(row["refusal"]) for row in rows)
    return (
        f"{len(measured)} days measured, {refused} refused or failed. The rebuild's "
        f"NDCG@20 is {statistics.fmean(gaps):+.4f} from that of the day's model on "
        f"average; on {apart} days the 95 % interval of the difference leaves out 0."
    )


def _points(rows: Sequence[Row], name: str) -> list[tuple[str, float]]:
    known = [row for row in rows if row[name] is not None]
    return [(str(row["day"]), row[name]) for row in known]


def _mebibytes(rows: Sequence[Row]) -> list[tuple[str, float]]:
    return [(str(row["day"]), row["bytes"] / 2**20) for row in rows]


def _whole(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f}"


def _figure(title: str, series: Mapping[str, list[tuple[str, float]]]) -> Figure:
    return Figure(title, line_plot("day", series))


def _row(row: Row) -> list[str]:
    low, high = row["interval"]
    return [
        *(str(row[name]) for name in ("day", "users", "items")),
        *(f"{row[name]:.4f}" for name in ("before", "daily", "rebuild")),
        f"{low:+.4f} to {high:+.4f}",
        *(_whole(row[name]) for name in ("seconds", "rebuild_seconds")),
        f"{row['bytes'] / 2**20:.0f}",
    ]
