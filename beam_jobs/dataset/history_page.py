"""The part of the statistics page that shows the last datasets: rows and distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beam_jobs.dataset.history import Entry
from s4rec_tf.report_page.blocks import Block, Figure, Heading, Table
from s4rec_tf.report_page.figures import line_plot

Series = list[tuple[str, float]]
"""Pairs of a dataset's label and its value, oldest first."""


def history_blocks(entries: Sequence[Entry]) -> Iterator[Block]:
    """Sizes of the last datasets, then every distance beside its threshold.

    Args:
        entries: the last datasets, oldest first; the last is the page's own.
    """
    yield Heading(2, f"The last {len(entries)} datasets")
    header = ("newest action", "rows read", "users", "items", "actions")
    sizes = Table(header, [_size_row(entry) for entry in entries])
    series = {
        "rows read": [(_label(e), float(e.rows)) for e in entries],
        "users": [(_label(e), float(e.users)) for e in entries],
    }
    yield Figure("Rows read and users", line_plot("newest action", series), sizes)
    distances = list(_distances(entries))
    if distances:
        yield Heading(2, "Drift over the last datasets")
        yield from distances


def _label(entry: Entry) -> str:
    return entry.newest_day or "no times"


def _size_row(entry: Entry) -> Sequence[str]:
    kind = "" if entry.is_increment else " (whole)"
    return (
        _label(entry) + kind,
        *(f"{n:,}" for n in (entry.rows, entry.users, entry.items, entry.actions)),
    )


def _distances(entries: Sequence[Entry]) -> Iterator[Figure]:
    series: dict[tuple[str, str], Series] = {}
    thresholds: dict[tuple[str, str], float] = {}
    for entry in entries:
        for measured in entry.distances:
            key = (measured.compared, measured.feature)
            series.setdefault(key, []).append((_label(entry), measured.value))
            thresholds[key] = measured.threshold
    for (compared, feature), points in series.items():
        threshold = thresholds[compared, feature]
        rows = [(label, f"{value:.4f}", f"{threshold:g}") for label, value in points]
        yield Figure(
            f"{feature}: {compared}",
            line_plot("newest action", {"distance": points}, threshold),
            Table(("newest action", "distance", "threshold"), rows),
        )
