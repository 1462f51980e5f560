"""Every Dockerfile, by hadolint: the strictest rules, and a file that breaks one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HADOLINT = Path(sys.executable).parent / "hadolint"
FOUND = [
    path
    for package in ("beam_jobs", "pipelines", "serving")
    for path in sorted((ROOT / package).rglob("Dockerfile"))
]


def hadolint(path):
    command = [str(HADOLINT), "--no-color", "--failure-threshold", "style", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.relative_to(ROOT)))
def test_dockerfile_breaks_no_rule(path):
    assert hadolint(path) == (0, "")


def test_a_bad_dockerfile_is_seen(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp\n")
    code, text = hadolint(tmp_path / "Dockerfile")
    assert code == 1 and "DL3006" in text and "DL3003" in text


@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_copied_is_there_and_not_ignored(path):
    lines = path.read_text("utf-8").splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    names = {
        name for words in copies for name in words if "--from" not in " ".join(words)
    }
    kept = path.with_name("Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert names and all((ROOT / name).exists() for name in names)
    assert {line[1:] for line in kept if line.startswith("!")} == names
