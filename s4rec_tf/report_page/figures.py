"""Figures as Plotly reads them: plain data, drawn by the page that holds them.

Colours of text, grid and series are the page's, which knows a light and a dark one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Point = tuple[str, float]
Plot = dict[str, Any]


def line_plot(
    x_label: str,
    series: Mapping[str, Sequence[Point]],
    threshold: float | None = None,
) -> Plot:
    """Lines over labelled places, equally far apart.

    Args:
        x_label: shown below.
        series: by name, points (label of the place, value); a place has one label in
            all series, in the order in which they first come.
        threshold: a value to mark by a dashed line.
    """
    places = list(dict.fromkeys(x for points in series.values() for x, _ in points))
    traces = [
        _trace(name, points) | {"type": "scatter", "mode": "lines+markers"}
        for name, points in series.items()
    ]
    layout = _layout(x_label)
    layout["xaxis"] |= {"categoryorder": "array", "categoryarray": places}
    if threshold is not None:
        dashed = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
        line = {"dash": "dash", "width": 1.5}
        layout["shapes"] = [dashed | {"y0": threshold, "y1": threshold, "line": line}]
    return {"data": traces, "layout": layout}


def bar_chart(series: Mapping[str, Sequence[Point]], x_label: str = "") -> Plot:
    """Bars from zero, side by side at every place.

    Args:
        series: by name, points (label of the place, value).
        x_label: shown below.
    """
    traces = [_trace(name, points) | {"type": "bar"} for name, points in series.items()]
    return {"data": traces, "layout": _layout(x_label) | {"barmode": "group"}}


def histogram(series: Mapping[str, Sequence[tuple[float, float, float]]]) -> Plot:
    """Shares of ranges of a number, as steps, so that series can be laid over others.

    Args:
        series: by name, ranges (low, high, count), in order.
    """
    traces = []
    for name, ranges in series.items():
        total = sum(count for *_, count in ranges) or 1
        traces.append(
            {
                "name": name,
                "type": "scatter",
                "mode": "lines",
                "line": {"shape": "hvh"},
                "x": [(low + high) / 2 for low, high, _ in ranges],
                "y": [count / total for *_, count in ranges],
            }
        )
    layout = _layout("")
    layout["xaxis"] |= {"type": "linear"}
    layout["yaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    return {"data": traces, "layout": layout}


def box_plot(series: Mapping[str, Sequence[float]]) -> Plot:
    """A box a name: whiskers from least to greatest, box of the quartiles, median.

    Args:
        series: by name, least, lower quartile, median, upper quartile, greatest.
    """
    names = ("lowerfence", "q1", "median", "q3", "upperfence")
    traces = [
        {"name": name, "type": "box", "x": [name]}
        | {key: [value] for key, value in zip(names, five, strict=True)}
        for name, five in series.items()
    ]
    return {"data": traces, "layout": _layout("") | {"showlegend": False}}


def scatter_plot(series: Mapping[str, Sequence[tuple[float, float]]]) -> Plot:
    """Points in a square without axes, later series above earlier ones.

    Args:
        series: by name, points (x, y).
    """
    traces = [
        {
            "name": name,
            "type": "scatter",
            "mode": "markers",
            "marker": {"size": 5, "opacity": 0.7},
            "hoverinfo": "name",
            "x": [round(float(x), 3) for x, _ in points],
            "y": [round(float(y), 3) for _, y in points],
        }
        for name, points in series.items()
    ]
    layout = _layout("") | {"height": 480}
    layout["xaxis"] = {"visible": False}
    layout["yaxis"] = {"visible": False, "scaleanchor": "x"}
    return {"data": traces, "layout": layout}


def _trace(name: str, points: Sequence[Point]) -> Plot:
    return {"name": name, "x": [x for x, _ in points], "y": [y for _, y in points]}


def _layout(x_label: str) -> Plot:
    return {
        "xaxis": {"type": "category", "title": {"text": x_label}, "automargin": True},
        "yaxis": {"automargin": True},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "margin": {"l": 48, "r": 8, "t": 32, "b": 40},
        "height": 340,
    }
