"""One table of exit codes: the code's, the page's, and what commands return."""

import ast
import re
from pathlib import Path

import pytest

from beam_jobs import drift, prepare_dataset, show
from beam_jobs.fetch import __main__ as fetch
from s4rec_tf.exit_codes import ExitCode, of_signal
from serving.client import __main__ as client

ROOT = Path(__file__).parents[2]
PACKAGES = ("beam_jobs", "s4rec_tf", "serving", "pipelines")
# The client imports nothing of the project, so that it can be copied.
WITHOUT_THE_TABLE = ROOT / "serving" / "client"


def test_page_has_the_table():
    text = (ROOT / "docs" / "command_line.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert {name: int(code) for code, name in rows} == ExitCode.__members__


def test_codes_are_the_shells():
    assert (ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE) == (0, 1, 2)
    assert (ExitCode.INTERRUPTED, of_signal(15)) == (130, 143)


def literal_exits(path):
    """Lines of a command's functions that return or exit with a bare number."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name in ("main", "run", "_run"):
            values = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
            calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
            values += [
                c.args[0] for c in calls if "exit" in ast.unparse(c.func) and c.args
            ]
            numbers = [v for v in values if isinstance(v, ast.Constant)]
            found += [v.lineno for v in numbers if isinstance(v.value, int)]
    return found


def test_rule_sees_a_bare_number(tmp_path):
    path = tmp_path / "command.py"
    path.write_text("def main():\n    if x:\n        sys.exit(3)\n    return 0\n")
    assert sorted(literal_exits(path)) == [3, 4]


def test_commands_take_their_codes_from_the_table():
    paths = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    paths = [path for path in paths if WITHOUT_THE_TABLE not in path.parents]
    assert {p: literal_exits(p) for p in paths if literal_exits(p)} == {}


@pytest.mark.parametrize(
    "call",
    [
        lambda: show.run(["nowhere"]),
        lambda: drift.run(["nowhere", "nowhere"]),
        lambda: fetch.main(["toys", "--from_file", "nowhere", "--output", "out"]),
        lambda: prepare_dataset.run(["--input", "nowhere", "--output", "out"]),
        lambda: client.main(
            ["--target", "127.0.0.1:1", "--model_name", "m", "--history", "a"]
        ),
    ],
)
def test_failures_exit_with_failed(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call() == ExitCode.FAILED


@pytest.mark.parametrize(
    "call",
    [
        lambda: show.run([]),
        lambda: drift.run(["one"]),
        lambda: fetch.main(["nothing"]),
        lambda: prepare_dataset.run(["--output", "out", "--k_core", "0"]),
        lambda: client.main(["--target", "127.0.0.1:1"]),
    ],
)
def test_wrong_command_lines_exit_with_usage(call):
    with pytest.raises(SystemExit) as stopped:
        call()
    assert stopped.value.code == ExitCode.USAGE
