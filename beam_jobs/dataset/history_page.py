"""The part of the statistics page that shows the last datasets: rows and distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from beam_jobs.dataset.history import Entry
from beam_jobs.dataset.statistics_table import table

_WIDTH, _HEIGHT, _MARGIN = 480, 60, 4

Series = list[tuple[str, float]]
"""Pairs of a dataset's label and its value, oldest first."""


def render_history(entries: Sequence[Entry]) -> Iterator[str]:
    """The section's HTML: sizes, then every distance beside its threshold.

    Args:
        entries: the last datasets, oldest first; the last is the page's own.
    """
    yield f"<h2>The last {len(entries)} datasets</h2>"
    header = ("newest action", "rows read", "users", "items", "actions")
    yield table(header, map(_size_row, entries))
    sizes = {
        "rows read": [(_label(e), float(e.rows)) for e in entries],
        "users": [(_label(e), float(e.users)) for e in entries],
    }
    yield table(
        ("", "last", "over the last datasets"),
        [(name, f"{s[-1][1]:,.0f}", _chart(s, None)) for name, s in sizes.items()],
    )
    rows = list(_distance_rows(entries))
    if rows:
        yield "<h2>Drift over the last datasets</h2>"
        yield table(
            ("compared", "feature", "last", "threshold", "dashed: the threshold"), rows
        )


def _label(entry: Entry) -> str:
    return entry.newest_day or "no times"


def _size_row(entry: Entry) -> Sequence[str]:
    kind = "" if entry.is_increment else " (whole)"
    return (
        _label(entry) + kind,
        *(f"{n:,}" for n in (entry.rows, entry.users, entry.items, entry.actions)),
    )


def _distance_rows(entries: Sequence[Entry]) -> Iterator[Sequence[str]]:
    series: dict[tuple[str, str], Series] = {}
    thresholds: dict[tuple[str, str], float] = {}
    for entry in entries:
        for measured in entry.distances:
            key = (measured.compared, measured.feature)
            series.setdefault(key, []).append((_label(entry), measured.value))
            thresholds[key] = measured.threshold
    for (compared, feature), points in series.items():
        threshold = thresholds[compared, feature]
        yield (
            escape(compared),
            escape(feature),
            f"{points[-1][1]:.4f}",
            f"{threshold:g}",
            _chart(points, threshold),
        )


def _chart(points: Series, threshold: float | None) -> str:
    """A line of dots, the label and value of each on hovering."""
    highest = max([value for _, value in points] + [threshold or 0]) or 1
    step = (_WIDTH - 2 * _MARGIN) / max(len(points) - 1, 1)

    def height(value: float) -> float:
        return _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * value / highest

    placed = [(_MARGIN + n * step, height(v)) for n, (_, v) in enumerate(points)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(label)}: {value:,.4g}'
        "</title></circle>"
        for (x, y), (label, value) in zip(placed, points, strict=True)
    )
    limit = ""
    if threshold is not None:
        y = f"{height(threshold):.1f}"
        limit = f'<line class="limit" x1="0" x2="{_WIDTH}" y1="{y}" y2="{y}"/>'
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{limit}'
        f'<polyline points="{line}"/>{dots}</svg>'
    )
