"""Pages of blocks: what they hold, and that Plotly itself accepts their figures."""

import base64
import gzip
import re

import plotly.graph_objects as go
import pytest
from page_reading import Page, needs_nothing_else, plots, without_plotly
from plotly.offline import get_plotlyjs

from s4rec_tf.report_page import figures
from s4rec_tf.report_page.blocks import Figure, Heading, Paragraph, Table
from s4rec_tf.report_page.page import as_html, as_markdown

TABLE = Table(("model", "value"), [("a|b", "1,000"), ("</script>", "2")])
POINTS = {"one": [("x", 1.0), ("y", 2.0)], "two": [("y", 3.0)]}
PLOTS = {
    "line": figures.line_plot("place", POINTS, threshold=1.5),
    "bars": figures.bar_chart(POINTS),
    "boxes": figures.box_plot({"one": [0.0, 1.0, 2.0, 3.0, 4.0]}),
    "points": figures.scatter_plot({"head": [(0.0, 1.0)], "tail": [(2.0, 3.0)]}),
    "shares": figures.histogram({"train": [(0, 2, 1), (2, 4, 3)]}),
}
BLOCKS = [
    Heading(2, "Runs & more"),
    Paragraph("Text <b>.", "warning"),
    TABLE,
    Heading(2, "Runs & more"),
    Heading(3, "Below"),
    Figure("A </script> title", PLOTS["line"], TABLE),
]


@pytest.mark.parametrize("name", PLOTS)
def test_plotly_accepts_the_figure(name):
    go.Figure(PLOTS[name])  # raises on a property that Plotly does not know


def test_histogram_holds_shares_in_the_middle_of_their_ranges():
    (trace,) = PLOTS["shares"]["data"]
    assert (trace["x"], trace["y"]) == ([1, 3], [0.25, 0.75])


def test_places_of_a_line_keep_their_order():
    assert PLOTS["line"]["layout"]["xaxis"]["categoryarray"] == ["x", "y"]


def test_page_is_whole_and_escapes_what_it_shows():
    page = as_html("Title <i>", BLOCKS)
    assert needs_nothing_else(page)
    text = Page(without_plotly(page)).text
    assert "Title <i>" in text and "Text <b>." in text and "</script>" in text
    assert plots(page) == {"A </script> title": PLOTS["line"]}
    assert '<p class="warning">' in page


def test_contents_lead_to_every_heading_once():
    page = as_html("Title", BLOCKS)
    links = re.findall(r'<li class="level\d"><a href="#([^"]+)">', page)
    assert links == ["runs-more", "runs-more-2", "below"]
    assert all(page.count(f'id="{link}"') == 1 for link in links)


def test_words_and_numbers_are_told_apart():
    cells = ("name", "-3", "\u22123", "0.05 ± 0.01", "12 %", "", "-", "docs/x")
    page = as_html("Title", [Table(["column"] * len(cells), [cells])])
    words = re.findall(r'<td class="words">([^<]*)<', page)
    assert words == ["name", "docs/x"]


def test_page_without_figures_needs_no_plotly():
    page = as_html("Title", BLOCKS[:3])
    assert 'id="plotly"' not in page and len(page) < 20_000


def test_packed_script_is_plotlys():
    page = as_html("Title", BLOCKS)
    packed = re.search(r'id="plotly">(.*?)</script>', page, re.DOTALL)[1]
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()


def test_markdown_has_the_numbers_of_figures():
    text = as_markdown("Title", BLOCKS)
    assert text.startswith(
        "# Title\n\n## Runs & more\n\nText <b>.\n\n| model | value |"
    )
    assert text.count("| a\\|b | 1,000 |") == 2
