"""Fetching what the tests of engines need into `.cache`, by package managers alone."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"


def run(command, what, **options):
    """Runs a package manager; ends this process with its reason if it fails."""
    options = {"cwd": ROOT, **options}
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}".strip().splitlines() or ["no reason given"]
        reason = next((line for line in said if "ERROR" in line), said[-1])
        sys.exit(f"{what} could not be fetched: {reason}")


def check(program, package):
    """Ends this process if a program is not installed."""
    if shutil.which(program) is None:
        sys.exit(f"`{program}` is not on PATH: apt install {package}")


def copy_jars(parts, folder, destination):
    """Copies the jars that a Maven file names; another file replaces them.

    Args:
        parts: the Maven file, which is copied with them.
        folder: for what is not yet complete.
        destination: folder of the jars.
    """
    copied = destination / parts.name
    if copied.is_file() and copied.read_bytes() == parts.read_bytes():
        return
    check("mvn", "maven")
    jars = folder / "jars"
    command = ["mvn", "--batch-mode", f"--file={parts}", "dependency:copy-dependencies"]
    run([*command, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"], parts.name)
    shutil.copy(parts, jars)
    shutil.rmtree(destination, ignore_errors=True)
    jars.rename(destination)
