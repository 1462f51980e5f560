"""Every message of the page is one that the code can print."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
PACKAGES = ("beam_jobs", "s4rec_tf", "serving", "pipelines")
OF_LIBRARIES = (
    "RESOURCE_EXHAUSTED",
    "Op type not registered 'Scann>...'",
    "UNAVAILABLE",
)
"""Messages of TensorFlow and gRPC."""


def messages():
    """The messages in the first column of the tables with that heading."""
    tables = re.findall(r"^\| message .*\n\| --- .*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    cells = [row.split(" | ")[0] for table in tables for row in table.splitlines()]
    return [text for cell in cells for text in re.findall("`([^`]+)`", cell)]


def text_of(node):
    """A string of the source; what is put into it stands as a blank."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [
            text_of(v) if isinstance(v, ast.Constant) else " " for v in node.values
        ]
        return "".join(parts)
    return ""


def strings():
    """All strings of the code, docstrings left out."""
    found = []
    for path in (p for name in PACKAGES for p in (ROOT / name).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        nodes = (n for n in ast.walk(tree) if id(n) not in docs)
        found += [text_of(node).replace("`", "") for node in nodes]
    return [text for text in found if text]


STRINGS = strings()


def is_printed(message):
    """Whether the fixed parts of a message stand in one string, in their order."""
    parts = [re.escape(part) for part in re.split(r"\s*\.\.\.\s*", message) if part]
    pattern = re.compile(r"\s*.*\s*".join(parts), re.DOTALL)
    return any(pattern.search(text) for text in STRINGS)


@pytest.mark.parametrize("message", [m for m in messages() if m not in OF_LIBRARIES])
def test_message_is_the_codes(message):
    assert is_printed(message)


def test_a_message_that_nobody_prints_is_seen():
    assert not is_printed("the dataset ... has gone fishing")
    assert is_printed("run folder ... does not exist")


def test_the_page_has_many_messages():
    assert len(messages()) > 35
