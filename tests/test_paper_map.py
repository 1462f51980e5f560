"""Every row of docs/paper_map.md: its code and its test exist, and the test uses it."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "paper_map.md").read_text("utf-8")
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)` \| `([^`]+)` \|$", TEXT, flags=re.MULTILINE
)


def definitions(path):
    """Names of the functions and classes that a file defines, methods too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, kinds)
    }


def files_under(path):
    return [path] if path.is_file() else sorted(path.rglob("test_*.py"))


@functools.cache
def imported_files(path):
    """Files of the project that a file imports, itself included."""
    found = {path}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{n.name}" for n in node.names)]
            places = (ROOT.joinpath(*name.split(".")) for name in names)
            found |= {place.with_suffix(".py") for place in places}
    return {file for file in found if file.is_file()}


def reached_by(files):
    """Files of the project that some files import, directly or through others."""
    reached, left = set(), list(files)
    while left:
        new = imported_files(left.pop()) - reached
        reached |= new
        left += new
    return reached


def test_every_line_of_the_tables_is_a_row():
    lines = [line for line in TEXT.splitlines() if line.startswith("| ")]
    headers = [line for line in lines if line.startswith(("| paper", "| ---"))]
    assert len(ROWS) == len(lines) - len(headers) > 40


def test_all_equations_have_a_row():
    rows = " ".join(paper for paper, *_ in ROWS if paper.startswith("Eq"))
    named = set()
    for first, last in re.findall(r"([0-9]+)(?:-([0-9]+))?", rows):
        named |= set(range(int(first), int(last or first) + 1))
    assert named == set(range(1, 19))


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_a_row_names_code_and_a_test_of_it(row):
    code, _, name = row[2].partition(": ")
    test, _, function = row[3].partition(": ")
    assert (ROOT / code).is_file()
    if name:
        assert name in definitions(ROOT / code)
    if function:
        assert function.startswith("test_")
        assert function in definitions(ROOT / test)
    if code.endswith(".py"):
        assert ROOT / code in reached_by(files_under(ROOT / test))
