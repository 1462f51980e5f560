"""Fixtures of the engines' tests: logs, a copy of the project, an installed one."""

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from beam_stores import gcs, s3, store  # noqa: F401
from engine_processes import run_job
from without_statistics import leave_statistics_out

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "beam_jobs" / "deploy" / "Dockerfile"


@pytest.fixture(scope="session")
def engine_logs(tmp_path_factory):
    """A glob of two logs with ties in time, repeats, duplicates and a long tail."""
    folder = tmp_path_factory.mktemp("logs")
    draw = random.Random(5)
    reviews = [
        {
            "reviewerID": f"u{int(60 * draw.random() ** 2)}",
            "asin": f"i{int(25 * draw.random() ** 2)}",
            "unixReviewTime": draw.randrange(40),
        }
        for _ in range(700)
    ]
    reviews += draw.sample(reviews, 20)
    lines = [json.dumps(review) + "\n" for review in reviews]
    (folder / "log-1").write_text("".join(lines[:300]))
    (folder / "log-2").write_text("".join(lines[300:]))
    return folder / "log-*"


@pytest.fixture(scope="session")
def in_process(tmp_path_factory, engine_logs):
    """The dataset folder that Beam's in-process runner makes, statistics included."""
    output = tmp_path_factory.mktemp("in_process") / "out"
    run_job(engine_logs, output, "--runner=FnApiRunner")
    return output


@pytest.fixture(scope="session")
def image_sources(tmp_path_factory):
    """The files that the image of the workers is built from, and no others."""
    folder = tmp_path_factory.mktemp("image")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.M)
    for name in " ".join(copied).split():
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def installed_copy(image_sources, tmp_path_factory):
    """A folder that the project is installed in, as a wheel, by itself."""
    folder = tmp_path_factory.mktemp("installed")
    for command in (
        ["setup.py", "-q", "bdist_wheel", "-d", str(folder / "dist")],
        ["-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"],
    ):
        if command[1] == "pip":
            (wheel,) = (folder / "dist").iterdir()
            command += [str(folder / "site"), str(wheel)]
        subprocess.run([sys.executable, *command], cwd=image_sources, check=True)
    return folder / "site"


@pytest.fixture
def no_tfdv(monkeypatch):
    leave_statistics_out(monkeypatch)
