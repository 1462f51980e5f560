"""Pages in a real browser: drawn without a network, at three widths, in the dark."""

import pytest

from s4rec_tf.report_page import figures
from s4rec_tf.report_page.blocks import Figure, Heading, Paragraph, Table
from s4rec_tf.report_page.page import as_html
from tests.browser.looks import WIDTHS

pytestmark = pytest.mark.browser
NUMBERS = ["0.05 ± 0.01", "1,200", "-3", "", "12 %", "7"]
WIDE = Table(
    ("name", *(f"column {n}" for n in range(20))),
    [
        (f"row {n}", number, *(["0.1234 ± 0.0001"] * 19))
        for n, number in enumerate(NUMBERS)
    ],
)
PLOTS = {
    "Lines": figures.line_plot("day", {"a": [("1", 1.0), ("2", 3.0)]}, threshold=2.0),
    "Bars": figures.bar_chart({"a": [("x", 1.0)], "b": [("x", 2.0)]}),
    "Boxes": figures.box_plot({"a": [0.0, 1.0, 2.0, 3.0, 4.0]}),
    "Points": figures.scatter_plot({"a": [(0.0, 1.0), (1.0, 0.0)]}),
    "Shares": figures.histogram({"a": [(0, 1, 5), (1, 2, 3)]}),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    blocks = [Heading(2, "A table"), Paragraph("Text."), WIDE]
    for name, plot in PLOTS.items():
        blocks += [Heading(2, name), Figure(name, plot, WIDE)]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(as_html("A page", blocks), "utf-8")
    return path.as_uri()


def opened(browser, address, width=1440, scheme="light"):
    """The page, drawn; requests and errors that it caused are on the page object."""
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    page.requests, page.errors = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda m: m.type == "error" and page.errors.append(m.text))
    page.goto(address)
    page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
    return page


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_everything_is_drawn_and_nothing_is_fetched(browser, address, width):
    page = opened(browser, address, width)
    assert (page.requests, page.errors) == ([address], [])
    assert page.locator(".plot .main-svg").count() >= len(PLOTS)
    for box in (plot.bounding_box() for plot in page.locator(".plot").all()):
        assert (
            box["height"] > 200 and box["x"] >= 0 and box["x"] + box["width"] <= width
        )


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_page_never_scrolls_sideways_but_wide_tables_do(browser, address, width):
    page = opened(browser, address, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.locator("main > .wide").first
    assert wide.evaluate("box => box.scrollWidth > box.clientWidth")
    left = page.locator("main > .wide td").first
    before = left.bounding_box()["x"]
    wide.evaluate("box => box.scrollLeft = 300")
    assert left.bounding_box()["x"] == before  # the first column stays


def column(page):
    return page.locator("main > .wide tbody td:nth-child(2)").all_inner_texts()


def test_tables_sort_as_numbers_by_mouse_and_keyboard(browser, address):
    page = opened(browser, address)
    header = page.locator("main > .wide th:nth-child(2)").first
    header.locator("button").click()
    assert column(page) == ["1,200", "12 %", "7", "0.05 ± 0.01", "-3", ""]
    assert header.get_attribute("aria-sort") == "descending"
    header.locator("button").press("Enter")
    assert column(page) == ["-3", "0.05 ± 0.01", "7", "12 %", "1,200", ""]
    assert header.get_attribute("aria-sort") == "ascending"


def luminance(colour):
    """Relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    parts = [int(part) / 255 for part in colour.strip("rgba()").split(",")[:3]]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_page_and_plots_is_readable_in_both_schemes(browser, address, scheme):
    page = opened(browser, address, scheme=scheme)
    style = "e => getComputedStyle(e)"
    back = page.locator("body").evaluate(f"{style}.backgroundColor")
    assert (luminance(back) < 0.1) == (scheme == "dark")
    text = page.locator("main p").first.evaluate(f"{style}.color")
    tick = page.locator(".plot .xtick text").first.evaluate(f"{style}.fill")
    link = page.locator("nav a").first.evaluate(f"{style}.color")
    assert all(contrast(colour, back) >= 4.5 for colour in (text, tick, link))


def test_scheme_that_changes_is_followed_by_the_plots(browser, address):
    page = opened(browser, address)
    tick = page.locator(".plot .xtick text").first
    before = tick.evaluate("e => getComputedStyle(e).fill")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('.plot .xtick text')).fill "
        "!== before",
        arg=before,
    )


def test_contents_lead_to_their_headings(browser, address):
    page = opened(browser, address)
    page.get_by_role("navigation", name="Contents").get_by_text("Boxes").click()
    assert page.url.endswith("#boxes")
    assert page.locator("#boxes").evaluate("e => e.getBoundingClientRect().top") < 100


def test_page_reads_without_scripts(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("main > .wide td").first.inner_text() == "row 0"
    page.get_by_text("The numbers").first.click()
    assert page.locator("figure td").first.is_visible()
    context.close()
