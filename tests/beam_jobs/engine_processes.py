"""Processes that stand for an engine and its workers, and the jobs they are given."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from s4rec_tf.spec import MANIFEST_NAME

POOL = "apache_beam.runners.worker.worker_pool_main"
JOB_SERVICE = "apache_beam.runners.portability.local_job_service_main"
START_SECONDS = 60
JOB_SECONDS = 1800


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port)):
        return True
    return False


def wait_until(condition, process, log, seconds=START_SECONDS):
    """Waits for what a process makes true; fails if it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()[-5000:]
        assert time.monotonic() < deadline, log.read_text()[-5000:]
        time.sleep(0.1)


def kill(process):
    """Ends a process of `running` and all that it started, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def running(command, log, **options):
    """A process and those that it starts, which end with the block."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, start_new_session=True, **options
        )
        try:
            yield process
        finally:
            kill(process)


def environment_of(site):
    """An environment where Python knows the project from a folder alone."""
    return os.environ | {
        "PYTHONPATH": str(site),
        # The pool starts its workers by the name `python`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }


class WorkerPool(NamedTuple):
    """A pool of workers, each a process.

    Attributes:
        flags: for the job.
        process: the pool's.
        notes: where every worker notes, when a task reaches it, what it imported.
    """

    flags: list[str]
    process: subprocess.Popen
    notes: Path

    def kill_workers(self):
        """Kills the workers that there are, as a machine that fails would."""
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for worker in children.read_text().split():
                os.kill(int(worker), signal.SIGKILL)


@contextlib.contextmanager
def worker_pool(site, folder):
    """A `WorkerPool` that imports the project from `site`, and did so."""
    notes = folder / "imported"
    package = site / "beam_jobs" / "__init__.py"
    package.write_text(f"open({str(notes)!r}, 'a').write(__file__ + chr(10))\n")
    port, log = free_port(), folder / "pool.log"
    command = [sys.executable, "-m", POOL, f"--service_port={port}"]
    with running(command, log, cwd="/", env=environment_of(site)) as process:
        wait_until(lambda: listens(port), process, log)
        flags = ["--environment_type=EXTERNAL"]
        flags.append(f"--environment_config=localhost:{port}")
        yield WorkerPool(flags, process, notes)
    assert set(notes.read_text().splitlines()) == {str(package)}


@contextlib.contextmanager
def job_service(site, folder):
    """Flags for Beam's own job service, which runs what it is given in its process."""
    port, log = free_port(), folder / "service.log"
    command = [sys.executable, "-m", JOB_SERVICE, f"--port={port}"]
    command += ["--staging_dir", str(folder / "staging")]
    with running(command, log, cwd="/", env=environment_of(site)) as process:
        wait_until(lambda: listens(port), process, log)
        yield ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}"]


def job_command(logs, output, *flags, module="beam_jobs.prepare_dataset"):
    """The whole job, statistics included, of several rounds of the k-core."""
    command = [sys.executable, "-m", module, "--k_core=9", "--num_shards=3"]
    return [*command, f"--input={logs}", f"--output={output}", *flags]


def run_job(logs, output, *flags, seconds=JOB_SECONDS, **options):
    """Runs the whole job as a user does; `options` are those of `job_command`."""
    done = subprocess.run(
        job_command(logs, output, *flags, **options),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-5000:]


def shown(root):
    """Prints a dataset by `beam_jobs.show`, which verifies its checksums."""
    command = [sys.executable, "-m", "beam_jobs.show", str(root)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def contents(root):
    """The bytes of every file of a dataset folder."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root): path.read_bytes() for path in files}


def contents_but_statistics(root):
    """`contents` without TFDV's sketches, which depend on the order of merging."""
    return {
        path: content
        for path, content in contents(root).items()
        if path.parts[0] not in ("statistics", MANIFEST_NAME)
    }


def assert_same_dataset(root, other):
    """Holds that two engines made one dataset, TFDV's sketches apart."""
    assert shown(root) == shown(other)
    assert contents_but_statistics(root) == contents_but_statistics(other)
