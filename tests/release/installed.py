"""Distributions built from the repository, and environments that hold one of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = shutil.which(
    "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
)


def run(*command, **options):
    """Runs a command to its end; its output is shown if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=1500, **options
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def copy_of_what_is_committed(folder):
    """The repository's files as they are, without what git ignores."""
    names = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def build(source, folder):
    """The wheel and the sdist of a source folder."""
    run(UV, "build", "--quiet", "--out-dir", folder, source)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def environment(folder, requirement, constraints, python=sys.executable):
    """The folder of programs of a new environment that holds a requirement."""
    run(UV, "venv", "--quiet", "--python", python, folder)
    flags = ("--python", folder / "bin" / "python", "-c", ROOT / constraints)
    run(UV, "pip", "install", "--quiet", *flags, requirement)
    return folder / "bin"


def outside(programs):
    """Environment variables with nothing of the repository in them."""
    names = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    kept = {key: value for key, value in os.environ.items() if key not in names}
    return kept | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
