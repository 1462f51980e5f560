"""The site's navigation holds every page of docs/, so that `make docs` stays strict."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def pages(nav):
    """The files that a part of the navigation names."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in pages(entry)]


def test_every_page_is_in_the_navigation_once():
    named = pages(SITE["nav"])
    assert len(named) == len(set(named))
    folder = ROOT / "docs"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.md")}
    made = {page for page in named if page.startswith(("project/", "reference/"))}
    assert there == set(named) - made


def test_nothing_is_fetched_by_the_theme():
    assert SITE["theme"]["font"] is False and SITE["strict"] is True
