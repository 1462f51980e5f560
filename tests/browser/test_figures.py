"""Plots as files: drawn by a real Chromium, with nothing to load."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pipelines.report.svg import as_svgs
from s4rec_tf.report_page import figures

pytestmark = pytest.mark.browser
DOCS = Path(__file__).parents[2] / "docs"
PLOTS = {
    "bars": figures.bar_chart({"a": [("x", 1.0)], "b": [("x", 2.0)]}, "users"),
    "points": figures.scatter_plot({"tail": [(0.0, 1.0)], "head": [(1.0, 0.0)]}),
}


def test_plots_become_files_that_stand_alone():
    drawn = as_svgs(PLOTS)
    for name, marks in (("bars", 2), ("points", 2)):
        root = ET.fromstring(drawn[name])
        texts = "".join(root.itertext())
        assert all(trace["name"] in texts for trace in PLOTS[name]["data"])
        points = [e for e in root.iter() if "point" in e.get("class", "").split()]
        assert len(points) == marks
        assert "href" not in drawn[name].replace('xlink:href="#', "")
    assert as_svgs(PLOTS) == drawn  # the same every time


def test_figures_of_the_pages_are_whole(browser):
    """Each picture of a page is one that a browser draws, of some size."""
    page = browser.new_page()
    files = sorted((DOCS / "figures").glob("*.svg"))
    assert len(files) == 6
    for path in files:
        page.goto(path.as_uri())
        box = page.locator("svg").first.bounding_box()
        assert box["width"] > 300 and box["height"] > 200
        assert f"figures/{path.name}" in (DOCS / "how_s4rec_works.md").read_text()
    page.close()
