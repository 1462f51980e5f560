"""A job that is killed or finds the disk full leaves nothing half, and runs again."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s4rec_tf.spec import DatasetDir

KILLED = -9
LAUNCHER = Path(__file__).with_name("job_launcher.py")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(LAUNCHER.parent)])
}


def write_log(path: Path, day: int) -> Path:
    draw = random.Random(day)
    records = [
        {
            "reviewerID": f"u{draw.randrange(30)}",
            "asin": f"i{draw.randrange(20)}",
            "unixReviewTime": 86_400 * day + n,
        }
        for n in range(600)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


class Launcher:
    """Starts jobs; each goes on from the dataset of yesterday."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "out"
        self.yesterday = folder / "yesterday"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(LAUNCHER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        log = write_log(folder / "yesterday.json", 1)
        assert self.ask(["--input", str(log), "--output", str(self.yesterday)]) == 0
        self._log = write_log(folder / "today.json", 2)
        self.files = contents(self.yesterday)
        reference = folder / "reference"
        start = time.monotonic()
        assert self.run(reference) == 0
        self.seconds = time.monotonic() - start
        self.whole = contents(reference)
        self.beside = {path.name for path in folder.iterdir()}

    def ask(self, argv: list[str], **how: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {"argv": [*argv, "--k_core=2"], **how}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def run(self, output: Path, **how: Any) -> int:
        argv = ["--previous", str(self.yesterday), "--input", str(self._log)]
        return self.ask([*argv, "--output", str(output)], **how)

    def close(self) -> None:
        self._process.communicate()

    def check_after_kill(self) -> bool:
        """Holds that the output is absent or whole; says whether it is there."""
        assert contents(self.yesterday) == self.files
        DatasetDir(self.yesterday).verify()
        if not self.output.exists():
            return False
        if DatasetDir(self.output).manifest.exists():
            DatasetDir(self.output).verify()
            assert contents(self.output) == self.whole
            return True
        # What lay there before the job: see `leftover`.
        assert contents(self.output) == {"item_vocab.txt": b"old\n"}
        return False

    def leftover(self) -> None:
        """Puts an unfinished dataset of an older kind where the output belongs."""
        self.output.mkdir()
        (self.output / "item_vocab.txt").write_text("old\n")

    def check_rerun(self) -> None:
        """Holds that the job succeeds now, and removes what killed ones left beside."""
        if self.check_after_kill():
            shutil.rmtree(self.output)
        assert self.run(self.output) == 0
        assert self.check_after_kill()
        shutil.rmtree(self.output)
        assert {path.name for path in self.folder.iterdir()} == self.beside


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    started = Launcher(tmp_path_factory.mktemp("faults"))
    yield started
    started.close()


@pytest.mark.parametrize(("when", "has_leftover"), [("before", True), ("after", False)])
def test_killed_at_the_final_rename(
    launcher: Launcher, when: str, has_leftover: bool
) -> None:
    if has_leftover:
        launcher.leftover()
    output = str(launcher.output)
    assert launcher.run(launcher.output, rename=output, when=when) == KILLED
    assert launcher.check_after_kill() == (when == "after")
    launcher.check_rerun()


def test_killed_at_a_few_moments(launcher: Launcher) -> None:
    for share in (0.3, 0.8):
        launcher.run(launcher.output, kill_after=share * launcher.seconds)
        launcher.check_after_kill()
    launcher.check_rerun()


@pytest.mark.slow
def test_killed_at_sixty_random_moments(launcher: Launcher) -> None:
    draw = random.Random(7)
    killed = 0
    for number in range(100):
        if killed == 40:  # a moment may come after a quick job's end
            break
        seconds = draw.uniform(0, 1.05) * launcher.seconds
        killed += launcher.run(launcher.output, kill_after=seconds) == KILLED
        launcher.check_after_kill()
        if number % 4 == 0 or launcher.output.exists():
            launcher.check_rerun()
    for _ in range(20):
        when = draw.choice(["before", "after"])
        rename = draw.randrange(1, 16)
        killed += launcher.run(launcher.output, rename=rename, when=when) == KILLED
        launcher.check_after_kill()
        launcher.check_rerun()
    assert killed >= 50


@pytest.mark.slow
def test_killed_with_its_validation(tmp_path: Path) -> None:
    log, output = write_log(tmp_path / "log", 1), tmp_path / "out"
    module = [sys.executable, "-m", "beam_jobs.prepare_dataset"]
    argv = [*module, "--input", str(log), "--k_core=2", "--output"]
    start = time.monotonic()
    subprocess.run([*argv, str(tmp_path / "whole")], env=ENVIRONMENT, check=True)
    seconds = time.monotonic() - start
    draw = random.Random(8)
    for _ in range(10):
        job = subprocess.Popen(
            [*argv, str(output)], env=ENVIRONMENT, start_new_session=True
        )
        time.sleep(draw.uniform(0.3, 1) * seconds)
        os.killpg(job.pid, 9)
        job.wait()
        if output.exists():
            assert contents(output) == contents(tmp_path / "whole")
            output.rename(tmp_path / f"done{time.monotonic_ns()}")
    subprocess.run([*argv, str(output)], env=ENVIRONMENT, check=True)
    DatasetDir(output).verify()
    assert contents(output) == contents(tmp_path / "whole")
    assert not list(tmp_path.glob("*out.*"))


def last_line(stderr: str) -> str:
    assert "Traceback" not in stderr
    return stderr.splitlines()[-1]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; that needs no privilege."""
    log = write_log(tmp_path / "log", 1)
    output = tmp_path / "out"
    argv = ["--input", str(log), "--output", str(output), "--k_core=2"]
    # Set by the child itself: Python code between fork and exec meets gRPC's threads.
    limited = (
        "import os, resource, sys; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    job = subprocess.run(
        [sys.executable, "-c", limited, "-m", "beam_jobs.prepare_dataset", *argv],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert job.returncode == 1
    said = last_line(job.stderr)
    assert said.startswith(f"prepare_dataset: error: {output} cannot be made: ")
    assert f"File too large: '{output}.tmp-" in said
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["20k", "40k"])
def test_a_full_disk_is_named(tmp_path: Path, size: str) -> None:
    """On a disk of its own, in a mount namespace, which an ordinary user may make."""
    log = write_log(tmp_path / "log", 1)
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size={size} none {disk} || exit 99\n"
        f"{sys.executable} -m beam_jobs.prepare_dataset --input {log} --k_core=2 "
        f"--output {disk}/out\n"
        f"status=$?; ls -A {disk}; exit $status"
    )
    job = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert job.returncode == 1, job.stderr
    said = last_line(job.stderr)
    assert said.startswith(f"prepare_dataset: error: {disk}/out cannot be made: ")
    assert "No space left on device" in said
    assert job.stdout == ""  # nothing is left on the disk
