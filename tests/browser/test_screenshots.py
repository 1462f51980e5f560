"""The pages as they look, against stored pictures at three widths.

Compared are grey pictures of 96 columns, so that neither the smoothing of letters nor a
hair's breadth counts. The stored ones are of Chromium 156 on Debian 12 with its DejaVu
fonts; after a wanted change `UPDATE_BASELINES=1 make test-browser` writes them anew:
look at them before you commit them.
"""

import pytest

from tests.browser import report_pages
from tests.browser.looks import WIDTHS, compare, is_alike, opened, small
from tests.serving import inside

pytestmark = pytest.mark.browser
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
EVERY_WIDTH = pytest.mark.parametrize("width", WIDTHS)


@pytest.fixture(scope="module")
def run_page(tmp_path_factory):
    return report_pages.run(tmp_path_factory.mktemp("run")).as_uri()


@pytest.fixture(scope="module")
def try_page(served_demo):
    with inside.server(*served_demo, "--ui") as server:
        yield f"http://{server.rest_address}/ui/"


@pytest.fixture(scope="module")
def served_demo(tmp_path_factory):
    from tests.s4rec_tf.export import intents_export

    root = tmp_path_factory.mktemp("pictured")
    intents_export.exported(root, root / "demo")
    return "--model_name", "demo", "--model_base_path", root / "demo"


@SCHEMES
@EVERY_WIDTH
def test_run_page_looks_as_before(browser, run_page, width, scheme):
    page = opened(browser, run_page, WIDTHS[width], scheme)
    page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
    for place in ("training", "what-each-intent-likes"):
        page.locator(f"#{place}").evaluate("e => e.scrollIntoView()")
        compare(page, f"run_{place}_{width}_{scheme}")
    page.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Addresses of the reports' pages, by their names."""
    folder = tmp_path_factory.mktemp("reports")
    for name, (write, _) in report_pages.PAGES.items():
        (folder / f"{name}.html").write_text(write(folder), "utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in report_pages.PAGES}


@SCHEMES
@EVERY_WIDTH
@pytest.mark.parametrize("name", report_pages.PAGES)
def test_report_looks_as_before(browser, reports, name, width, scheme):
    page = opened(browser, reports[name], WIDTHS[width], scheme)
    if page.locator(".plot").count():
        page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]
    for number, place in enumerate(report_pages.PAGES[name][1], start=1):
        page.locator(place).first.evaluate("e => e.scrollIntoView()")
        compare(page, f"{name}_{number}_{width}_{scheme}")
    page.close()


@EVERY_WIDTH
def test_try_page_looks_as_before(browser, try_page, width):
    page = opened(browser, try_page, WIDTHS[width])
    page.get_by_text("answers of version").wait_for()
    page.get_by_role("combobox", name="Add an item").fill("item-31")
    page.locator("#found li").first.click()
    page.get_by_text("1 in the history").wait_for()
    page.evaluate("document.activeElement.blur()")
    compare(page, f"try_{width}")
    page.close()


@pytest.mark.parametrize(
    "broken",
    [
        "main, #problem { margin-left: 6rem }",
        "table { display: none }",
        ":root { --raised: #808080; --line: #303030 }",
        "body { font-size: 24px }",
    ],
)
def test_a_change_of_the_looks_is_noticed(browser, try_page, broken):
    page = opened(browser, try_page, WIDTHS["desktop"])
    page.get_by_text("answers of version").wait_for()
    before = small(page.screenshot())
    assert is_alike(small(page.screenshot()), before)
    # The page's policy forbids further styles of markup, not those of its scripts.
    page.evaluate(
        "text => { const sheet = new CSSStyleSheet(); sheet.replaceSync(text);"
        " document.adoptedStyleSheets = [sheet]; }",
        broken,
    )
    assert not is_alike(small(page.screenshot()), before)
    page.close()
