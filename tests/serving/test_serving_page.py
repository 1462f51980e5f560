"""Every test that docs/serving.md names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text("utf-8")
SERVING = ROOT / "tests" / "serving"


def conformance_rows():
    section = PAGE.split("## Conformance")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.startswith(("| what", "| ---"))]


def named_tests(row):
    """Pairs of a file and a function; a name alone is of the file before it."""
    file = ""
    for name in re.findall(r"`((?:[\w./]+\.py)?(?:::)?test_\w+)`", row):
        path, _, function = name.rpartition("::")
        file = path or file
        yield file, function


@pytest.mark.parametrize("row", conformance_rows())
def test_a_row_of_conformance_names_its_tests(row):
    tests = list(named_tests(row))
    assert tests
    for file, function in tests:
        text = (SERVING / "acceptance" / file).resolve().read_text("utf-8")
        assert f"def {function}(" in text
