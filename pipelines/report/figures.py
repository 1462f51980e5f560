"""Line, bar, box and scatter plots as SVG, without any library."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = ("#1f5f99", "#d1761b", "#4d8f4a", "#9a4f96", "#8a8f98", "#b8403a")
_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 54, 44
_SQUARE = 420

Point = tuple[str, float]


def line_plot(title: str, x_label: str, series: Mapping[str, Sequence[Point]]) -> str:
    """Lines over labelled places, equally far apart.

    Args:
        title: shown above.
        x_label: shown below.
        series: by name, points (label of the place, value); a place has one label in
            all series, in the order in which they first come.
    """
    places = list(dict.fromkeys(x for points in series.values() for x, _ in points))
    low, high = _range([y for points in series.values() for _, y in points])
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(places), 1)
    at = {place: _LEFT + step * (n + 0.5) for n, place in enumerate(places)}
    parts = [_text(at[place], _HEIGHT - _BOTTOM + 16, place) for place in places]
    for colour, points in zip(_colours(series), series.values(), strict=True):
        dots = [(at[x], _y(value, low, high)) for x, value in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
            for x, y in dots
        ]
    return _frame(title, x_label, series, low, high, parts)


def bar_chart(title: str, series: Mapping[str, Sequence[Point]]) -> str:
    """Bars from zero, side by side at every place.

    Args:
        title: shown above.
        series: by name, points (label of the place, value); all have the same places.
    """
    places = [place for place, _ in next(iter(series.values()), ())]
    low, high = 0.0, _range([y for points in series.values() for _, y in points])[1]
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(places), 1)
    width = 0.8 * step / max(len(series), 1)
    parts = [
        _text(_LEFT + step * (n + 0.5), _HEIGHT - _BOTTOM + 16, place)
        for n, place in enumerate(places)
    ]
    colours = _colours(series)
    for number, points in enumerate(series.values()):
        for place, (_, value) in enumerate(points):
            x, y = _LEFT + step * (place + 0.1) + width * number, _y(value, low, high)
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{0.92 * width:.1f}" '
                f'height="{_y(low, low, high) - y:.1f}" fill="{colours[number]}"/>'
            )
    return _frame(title, "", series, low, high, parts)


def box_plot(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """A box a name: whiskers from least to greatest, box of the quartiles, median.

    Args:
        title: shown above.
        series: by name, least, lower quartile, median, upper quartile, greatest.
    """
    low, high = _range([value for five in series.values() for value in five])
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(series), 1)
    parts = []
    for number, (colour, (name, five)) in enumerate(
        zip(_colours(series), series.items(), strict=True)
    ):
        x, width = _LEFT + step * (number + 0.5), 0.4 * step
        ends = [_y(value, low, high) for value in five]
        stroke = f'stroke="{colour}" stroke-width="2"'
        parts += [
            _text(x, _HEIGHT - _BOTTOM + 16, name),
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{ends[0]:.1f}" y2="{ends[4]:.1f}" '
            f"{stroke}/>",
            f'<rect x="{x - width / 2:.1f}" y="{ends[3]:.1f}" width="{width:.1f}" '
            f'height="{ends[1] - ends[3]:.1f}" fill="#fff" {stroke}/>',
            f'<line x1="{x - width / 2:.1f}" x2="{x + width / 2:.1f}" '
            f'y1="{ends[2]:.1f}" y2="{ends[2]:.1f}" {stroke}/>',
        ]
    return _frame(title, "", series, low, high, parts)


def scatter_plot(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Points in a square without axes, later series above earlier ones.

    Args:
        title: shown above.
        series: by name, points (x, y).
    """
    everywhere = [point for points in series.values() for point in points]
    xs, ys = zip(*everywhere, strict=True)
    (left, right), (low, high) = _range(xs), _range(ys)
    parts = []
    for colour, points in zip(_colours(series), series.values(), strict=True):
        dots = "".join(
            f'<circle cx="{_LEFT + (x - left) / (right - left) * _SQUARE:.1f}" '
            f'cy="{_TOP + (high - y) / (high - low) * _SQUARE:.1f}" r="2.2"/>'
            for x, y in points
        )
        parts.append(f'<g fill="{colour}" fill-opacity="0.7">{dots}</g>')
    inner = "\n".join([*_heading(title, series), *parts])
    return _svg(title, _LEFT + _SQUARE + _RIGHT, _TOP + _SQUARE + _RIGHT, inner)


def _colours(series: Mapping[str, Any]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(series))]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: a tenth of the spread beyond the values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.1 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between the ends."""
    raw = (high - low) / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _y(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    shown = html.escape(text)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>'


def _frame(
    title: str,
    x_label: str,
    series: Mapping[str, Any],
    low: float,
    high: float,
    parts: Sequence[str],
) -> str:
    grid = []
    for tick in _ticks(low, high):
        y = _y(tick, low, high)
        grid.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="#e4e8ec"/>'
        )
        grid.append(_text(_LEFT - 6, y + 4, f"{tick:.4f}", "end"))
    below = _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_label)
    inner = "\n".join([*_heading(title, series), *grid, *parts, below])
    return _svg(title, _WIDTH, _HEIGHT, inner)


def _heading(title: str, series: Mapping[str, Any]) -> list[str]:
    """The title, and a legend below it."""
    legend, x = [], float(_LEFT)
    for colour, name in zip(_colours(series), series, strict=True):
        legend.append(
            f'<rect x="{x:.1f}" y="30" width="10" height="10" fill="{colour}"/>'
        )
        legend.append(_text(x + 15, 39, name, "start"))
        x += 30 + 7 * len(name)
    head = f'<text x="{_LEFT}" y="18" font-weight="600">{html.escape(title)}</text>'
    return [head, *legend]


def _svg(title: str, width: int, height: int, inner: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img" aria-label="{html.escape(title)}" '
        f'font-family="system-ui, sans-serif" font-size="12">\n{inner}\n</svg>'
    )
