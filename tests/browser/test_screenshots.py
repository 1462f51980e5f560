"""The pages as they look, against stored pictures at three widths.

Compared are grey pictures of 96 columns, so that neither the smoothing of letters nor a
hair's breadth counts. The stored ones are of Chromium 156 on Debian 12 with its DejaVu
fonts; after a wanted change `UPDATE_BASELINES=1 make test-browser` writes them anew:
look at them before you commit them.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4rec_tf.analyze.run_page import write_page
from tests.s4rec_tf.analyze.test_run_page import EPOCHS, USER
from tests.serving import inside

pytestmark = pytest.mark.browser
BASELINES = Path(__file__).parent / "baselines"
WIDTHS = {"phone": 360, "tablet": 820, "desktop": 1440}
COLUMNS, MOST_OFF = 96, 0.2
"""Width of what is compared, and the share of its ink that may differ."""


def small(picture):
    """Grey picture of a screenshot, float [H, 96], of values 0 to 255."""
    image = Image.open(io.BytesIO(picture)).convert("L")
    rows = round(image.height * COLUMNS / image.width)
    return np.asarray(image.resize((COLUMNS, rows), Image.Resampling.BOX), float)


def is_alike(found, stored):
    """Whether two small pictures differ by no more than letters' edges do."""
    if found.shape != stored.shape:
        return False
    ink = np.abs(stored - np.median(stored)).mean()
    return bool(np.abs(found - stored).mean() < MOST_OFF * ink)


def compare(page, name):
    found = small(page.screenshot())
    path = BASELINES / f"{name}.png"
    if os.environ.get("UPDATE_BASELINES"):
        Image.fromarray(found.astype(np.uint8)).save(path, optimize=True)
    stored = np.asarray(Image.open(path), float)
    assert is_alike(found, stored), f"{name} looks unlike {path}"


@pytest.fixture(scope="module")
def run_page(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run") / "a run"
    (run_dir / "evaluation").mkdir(parents=True)
    lines = [json.dumps(epoch) + "\n" for epoch in EPOCHS]
    clusters = {"prototypes": {"users": [4, 0, 10], "heads": [1, 0, 5]}}
    found = {"split": "test", "findings": {"probe_auc": 0.7}, "clusters": clusters}
    intents = [["soap", "brush"], ["never"], ["oil", "comb"]]
    for name, text in {
        "metrics.jsonl": "".join(lines),
        "config.json": json.dumps({"model": "s4rec", "dim": 64}),
        "evaluation/analysis.json": json.dumps(found),
        "evaluation/examples.json": json.dumps({"users": [USER], "intents": intents}),
    }.items():
        (run_dir / name).write_text(text)
    return write_page(run_dir).as_uri()


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


def opened(browser, address, width, scheme="light"):
    viewport = {"width": width, "height": 900}
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.goto(address)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_run_page_looks_as_before(browser, run_page, width, scheme):
    page = opened(browser, run_page, WIDTHS[width], scheme)
    page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
    for place in ("training", "what-each-intent-likes"):
        page.locator(f"#{place}").evaluate("e => e.scrollIntoView()")
        compare(page, f"run_{place}_{width}_{scheme}")
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
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
