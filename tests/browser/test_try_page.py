"""The page to try a model, on a real server, by mouse and by keyboard alone."""

import re

import pytest

from tests.s4rec_tf.export import intents_export, standin
from tests.serving import inside

pytestmark = pytest.mark.browser
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Version 1 is a stand-in without titles and intents, version 2 an S4Rec."""
    root = tmp_path_factory.mktemp("served")
    base = root / "models" / "demo"
    base.parent.mkdir()
    inside.link_versions(standin.export_once(tmp_path_factory).version, base, 1)
    intents_export.exported(root, base, version=2)
    config = root / "models.config"
    rest = "model_version_policy { all {} }"
    config.write_text(inside.models_config(("demo", base, rest)))
    with inside.server("--model_config_file", config, "--ui") as server:
        yield server


@pytest.fixture
def page(browser, served):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.problems, page.hosts = [], set()
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda m: m.type == "error" and page.problems.append(m.text))
    page.on("request", lambda r: page.hosts.add(r.url.split("/")[2]))
    page.goto(f"http://{served.rest_address}/ui/")
    page.get_by_text("answers of version 2").wait_for()
    yield page
    assert page.problems == [] and page.hosts == {served.rest_address}
    page.close()


def history(page):
    names = page.get_by_role("list", name="History").get_by_role("listitem")
    return [re.sub(r"\s*\u00d7$", "", text) for text in names.all_inner_texts()]


def answers(page, version=2):
    table = page.get_by_role("table", name=f"Answers of version {version}")
    return table.locator("tbody tr")


def test_first_the_popular_items_are_shown_as_such(page):
    assert "popular items" in page.locator("main").inner_text()
    assert "item-60" in answers(page).first.inner_text()  # of the most actions


def test_history_is_built_by_keyboard_alone(page):
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.id") != "search":
        page.keyboard.press("Tab")
    page.keyboard.type("rose SOAP 12")  # without the accent
    options = page.get_by_role("listbox", name="Items found").get_by_role("option")
    assert options.all_inner_texts() == ["Rosé soap no. 12 item-12"]
    page.keyboard.press("ArrowDown")
    search = page.get_by_role("combobox", name="Add an item")
    assert search.get_attribute("aria-expanded") == "true"
    active = search.get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
    page.keyboard.press("Enter")
    assert history(page) == ["Rosé soap no. 12 item-12"]
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("soap")
    assert options.count() == 20
    page.keyboard.press("Escape")
    assert options.count() == 0
    page.get_by_text("1 in the history; 10 answers of version 2").wait_for()
    assert page.get_by_role("status").inner_text().startswith("1 in the history")
    page.get_by_role("button", name="Remove Rosé soap no. 12").press("Enter")
    page.get_by_text("0 in the history").wait_for()
    assert history(page) == []
    assert page.evaluate("document.activeElement.id") == "search"


def add(page, words):
    page.get_by_role("combobox", name="Add an item").fill(words)
    page.locator("#found li").first.click()


def test_answers_are_those_of_the_rest_api(page, served):
    for item in ("item-31", "item-22"):
        add(page, item)
    page.get_by_text("2 in the history; 10 answers").wait_for()
    row = ["", "", "", "", "", "", "item-31", "item-22"]
    asked = {"history": [row], "k": [10], "exclude": [[""]]}
    body = {"signature_name": "recommend", "inputs": asked}
    _, told = served.http("POST", "/v1/models/demo/versions/2:predict", body)
    told = told["outputs"]
    shown = [row.inner_text().split() for row in answers(page).all()]
    names = [item for item in told["item_ids"][0] if item]
    assert [next(w for w in row if w.startswith("item-")) for row in shown] == names
    scores = [f"{score:.3f}" for score in told["scores"][0][:10]]
    assert [score in row for score, row in zip(scores, shown, strict=True)] == [
        True
    ] * 10


def test_reasons_and_intents_are_shown(page):
    add(page, "item-31")
    add(page, "item-22")
    page.get_by_text("2 in the history; 10 answers").wait_for()
    why = answers(page).first.get_by_role("button", name=re.compile("^Why"))
    why.press("Enter")
    reasons = answers(page).first.locator("li")
    reasons.first.wait_for()
    assert why.get_attribute("aria-expanded") == "true"
    assert reasons.count() == 2
    assert re.search(
        r"without Rosé soap no. (22|31) the score is [\d.]+ (lower|higher)",
        reasons.first.inner_text(),
    )
    why.press("Enter")
    assert answers(page).first.locator("li").count() == 0
    rows = page.get_by_role("table", name="Intents by version 2").locator("tbody tr")
    shares = [float(re.search(r"([\d.]+) %", r.inner_text())[1]) for r in rows.all()]
    assert shares == sorted(shares, reverse=True) and 99 <= sum(shares) <= 101
    assert "Rosé soap" in rows.first.inner_text()


def test_two_versions_stand_side_by_side(page):
    add(page, "item-31")
    page.get_by_label("Beside it").select_option("1")
    page.get_by_text("answers of version 1").wait_for()
    first = page.get_by_role("table", name="Answers of version 2").bounding_box()
    second = page.get_by_role("table", name="Answers of version 1").bounding_box()
    assert second["x"] > first["x"] + first["width"] - 1
    assert "version 1 exports no intents" in page.locator("main").inner_text().lower()
    told = page.get_by_role("status").inner_text()
    common = int(re.search(r"(\d+) in common", told)[1])
    ranks = answers(page).locator("td:nth-of-type(3)").all_inner_texts()
    assert sum(rank.isdigit() for rank in ranks) == common
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_item_that_a_version_does_not_know_is_named(page):
    page.get_by_role("combobox", name="Add an item").fill("<b>strange</b>")
    page.keyboard.press("Enter")
    page.get_by_text("1 in the history").wait_for()
    assert history(page) == ["<b>strange</b> unknown to version 2"]


def test_names_and_labels_are_what_a_screen_reader_needs(page):
    add(page, "item-31")
    page.get_by_text("1 in the history").wait_for()
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(e =>"
        " !(e.labels && e.labels.length) && !e.getAttribute('aria-label')"
        " && !e.textContent.trim()).length"
    )
    assert unnamed == 0
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("heading", level=1).count() == 1
    headers = page.locator("table th")
    assert all(header.get_attribute("scope") for header in headers.all())


def test_token_is_asked_for_and_used(browser, tmp_path_factory):
    root = tmp_path_factory.mktemp("guarded")
    base = root / "demo"
    inside.link_versions(standin.export_once(tmp_path_factory).version, base, 1)
    (root / "tokens").write_text(TOKEN)
    flags = ("--model_name", "demo", "--model_base_path", base, "--ui")
    with inside.server(*flags, "--token_file", root / "tokens") as server:
        page = browser.new_page()
        page.goto(f"http://{server.rest_address}/ui/")
        field = page.get_by_label("Token of this server")
        field.wait_for()
        assert "a valid token is needed" in page.get_by_role("alert").inner_text()
        field.fill(TOKEN)
        field.press("Enter")
        page.get_by_text("10 answers of version 1").wait_for()
        assert not field.is_visible()
        page.close()
