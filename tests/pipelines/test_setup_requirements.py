import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "pipelines" / "check_requirements.sh"


def check(path, python=sys.executable):
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), python],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
    )


def with_tools(folder, *names):
    for name in names:
        (folder / name).symlink_to(shutil.which("true"))
    return folder


def test_nothing_is_said_when_all_is_there(tmp_path):
    done = check(with_tools(tmp_path, "git", "make", "g++"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_another_compiler_will_do(tmp_path):
    assert check(with_tools(tmp_path, "git", "make", "c++")).returncode == 0


def test_everything_missing_is_named_at_once_with_its_package(tmp_path):
    done = check(tmp_path, python="python3.11")
    assert done.returncode == 1
    packages = "python3.11 python3.11-venv python3.11-dev git make g++"
    assert done.stderr.splitlines()[-1] == f"install with: apt install {packages}"
    assert "Received: 'python3.11'" in done.stderr
    assert "missing: a C++ compiler (Debian package: g++)" in done.stderr


def test_another_version_of_python_is_refused(tmp_path):
    other = with_tools(tmp_path, "git", "make", "g++") / "python3.12"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    done = check(tmp_path, python=str(other))
    assert done.returncode == 1
    assert f"missing: Python 3.11; PYTHON must name one. Received: '{other}'" in (
        done.stderr
    )


def test_help_lists_every_target():
    done = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0
    for target in ("setup", "test", "test-slow", "test-tfserving", "lint", "types"):
        assert f"\n  {target} " in done.stdout
    for target in ("format", "demo", "clean"):
        assert f"\n  {target} " in done.stdout
