import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipelines.fork_server import ForkServer

ROOT = Path(__file__).parents[2]
COMMANDS = """
import os, pathlib, signal, sys, time
what = sys.argv[1]
if what == "imported":
    print("marker" in sys.modules, sys.argv[1:], __name__)
elif what == "exit":
    sys.exit(int(sys.argv[2]))
elif what == "fail":
    raise ValueError("a reason")
elif what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif what == "sleep":
    print(os.getpid())
    time.sleep(60)
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "forked_command.py").write_text(textwrap.dedent(COMMANDS))
    monkeypatch.syspath_prepend(tmp_path)
    with ForkServer(imported=()) as server:
        yield server


def lines_of(server, *arguments):
    lines = []
    code = server.run("forked_command", arguments, lines.append)
    return code, lines


def test_a_module_runs_as_a_command_with_its_arguments(server):
    code, lines = lines_of(server, "imported", "--flag", "two words")
    assert code == 0
    assert lines == ["False ['imported', '--flag', 'two words'] __main__\n"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("exit", "0"), 0), (("exit", "7"), 7), (("fail",), 1), (("killed",), 128 + 9)],
)
def test_the_exit_code_is_the_one_of_a_shell(server, arguments, expected):
    assert lines_of(server, *arguments)[0] == expected


def test_both_outputs_go_to_the_log(server, tmp_path):
    log = tmp_path / "log"
    assert server.run_logged("forked_command", ["fail"], log) == 1
    assert log.read_text().endswith("ValueError: a reason\n")
    assert server.run_logged("forked_command", ["imported"], log) == 0
    assert log.read_text() == "False ['imported'] __main__\n"


def test_a_copy_ends_with_the_call(server):
    found = []

    def interrupt(line):
        found.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        server.run("forked_command", ["sleep"], interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(found[0], 0)


def test_what_is_imported_once_is_there_in_every_copy(tmp_path):
    """In a process of its own: there is one server of copies in a process."""
    (tmp_path / "marker.py").touch()
    (tmp_path / "forked_command.py").write_text(textwrap.dedent(COMMANDS))
    program = """
from pipelines.fork_server import ForkServer
if __name__ == "__main__":
    ForkServer(imported=("marker",)).run("forked_command", ["imported"])
"""
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("True ['imported']"), done.stderr
