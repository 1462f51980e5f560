"""Plots as SVG, drawn by Plotly in a Chromium of the machine."""

from __future__ import annotations

import importlib.resources
import os
import re
import shutil
import urllib.parse
from collections.abc import Mapping

from s4rec_tf.report_page.figures import Plot

WIDTH = 560
"""Width of a picture, in pixels."""

_LOOK = {
    "font": {"color": "#7b8494", "family": "system-ui, sans-serif", "size": 13},
    "colorway": ["#3f83c4", "#d9772b", "#4f9a4b", "#a561a9", "#8b929c", "#c9544c"],
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "width": WIDTH,
}
"""Colours that can be read on white and on black."""

_GRID = {name: "rgba(123,132,148,0.35)" for name in ("gridcolor", "linecolor")}


def chromium() -> str:
    """The Chromium to draw with: what CHROMIUM names, or the one on PATH.

    Raises:
        OSError: if there is none.
    """
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        raise OSError(
            "Chromium is missing: apt install chromium, or name one by CHROMIUM"
        )
    return program


def as_svgs(plots: Mapping[str, Plot]) -> dict[str, str]:
    """The SVG text of each plot, by the plots' names.

    Raises:
        OSError: if there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    script = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.add_script_tag(content=script.read_text("utf-8"))
        draw = "figure => Plotly.toImage(figure, {format: 'svg'})"
        urls = {name: page.evaluate(draw, _dressed(p)) for name, p in plots.items()}
        browser.close()
    return {name: _settled(name, url) for name, url in urls.items()}


def _dressed(plot: Plot) -> Plot:
    layout = plot["layout"]
    axes = {name: _GRID | layout[name] for name in ("xaxis", "yaxis")}
    named = [trace | {"uid": f"trace{n}"} for n, trace in enumerate(plot["data"])]
    return {"data": named, "layout": layout | axes | _LOOK}


def _settled(name: str, url: str) -> str:
    """The text of a data url; ids that Plotly draws at random are named."""
    text = urllib.parse.unquote(url.partition(",")[2])
    drawn = re.search(r'id="defs-(\w+)"', text)
    return text.replace(drawn[1], name) if drawn else text
