"""Every file, function and test that docs/paper_map.md names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "paper_map.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:s4rec_tf|beam_jobs|tests)/[^`]+)`", TEXT)))


def test_all_equations_have_a_row():
    rows = " ".join(re.findall(r"^\| (Eqs?\. [0-9-]+)", TEXT, flags=re.MULTILINE))
    named = set()
    for first, last in re.findall(r"([0-9]+)(?:-([0-9]+))?", rows):
        named |= set(range(int(first), int(last or first) + 1))
    assert named == set(range(1, 19))


@pytest.mark.parametrize("entry", NAMED)
def test_what_the_map_names_exists(entry):
    path, _, name = entry.partition(": ")
    assert (ROOT / path).exists()
    if name:
        code = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^\s*(def|class) {name}\b", code, flags=re.MULTILINE)
