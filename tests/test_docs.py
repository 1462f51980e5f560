"""The pages: what they link to and the commands that they show exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(
            ROOT / name
            for name in ("README.md", "CONTRIBUTING.md", "serving/README.md")
        ),
        *(ROOT / "docs").glob("*.md"),
    ]
)
INDEX = ROOT / "docs" / "README.md"
COMMAND = re.compile(
    r"python3? -m ((?:beam_jobs|s4rec_tf|serving|pipelines|benchmarks)[\w.]*)"
)


def names(pages):
    return [str(page.relative_to(ROOT)) for page in pages]


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_commands_are_there(page):
    for module in COMMAND.findall(page.read_text("utf-8")):
        path = ROOT.joinpath(*module.rstrip(".").split("."))
        package = path / "__main__.py"
        assert package.is_file() or path.with_suffix(".py").is_file(), module


def test_the_readme_is_short_and_shows_the_five_stages():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 180
    stages = (
        *("beam_jobs.prepare_dataset", "s4rec_tf.train", "s4rec_tf.evaluate"),
        *("s4rec_tf.export", "serving.server", "serving.client"),
    )
    assert [module for module in COMMAND.findall(text) if module in stages] == [*stages]


def test_every_page_is_in_the_index():
    text = INDEX.read_text("utf-8")
    linked = {
        (INDEX.parent / target).resolve()
        for target in re.findall(r"\]\(([^)#]+)", text)
    }
    pages = {*PAGES, *(ROOT / "docs" / "results").glob("*.md")} - {INDEX}
    assert pages <= linked


def test_ci_runs_the_test_command_of_the_readme():
    text = (ROOT / "README.md").read_text("utf-8")
    commands = re.findall(r"```\n(make test\w*)\n```", text)
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert commands == ["make test"]
    assert re.search(r"\bmake test\b", script)


def test_the_picture_of_the_architecture_names_every_folder():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    picture = text.split("```")[1]
    packages = ("beam_jobs", "s4rec_tf", "serving", "pipelines", "benchmarks")
    folders = {
        folder.name
        for package in packages
        for folder in (ROOT / package).rglob("*")
        if folder.is_dir() and any(folder.glob("[!.]*.*")) and folder.name[0] != "_"
    }
    assert {
        name for name in (*packages, *folders) if f"{name}/" not in picture
    } == set()


GUIDES = [page for page in PAGES if page.parent.name == "docs" and page != INDEX]


@pytest.mark.parametrize("page", GUIDES, ids=names(GUIDES))
def test_a_page_says_first_who_reads_it(page):
    first = page.read_text("utf-8").split("\n\n")[1]
    assert re.match(r"For (whoever|newcomers)\b", first)
