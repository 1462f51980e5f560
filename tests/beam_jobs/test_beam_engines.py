"""The same logs give the same bytes, whichever engine runs the job."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_jobs import prepare_dataset, runner
from beam_jobs.job import Job
from s4rec_tf.spec import MANIFEST_NAME

ONE_ROUND = ["--k_core=5", "--num_shards=3"]
THREE_ROUNDS = ["--k_core=9", "--num_shards=3"]
POOL = "apache_beam.runners.worker.worker_pool_main"
JOB_SERVICE = "apache_beam.runners.portability.local_job_service_main"
START_SECONDS = 60


def prepare(logs, output, *flags):
    """The job without statistics, which take long."""
    argv = ["--input", str(logs), "--output", str(output), *ONE_ROUND, *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "_validate", lambda job, info: None)
        assert prepare_dataset.run(argv) == 0


@pytest.fixture(scope="module")
def baseline(tmp_path_factory, engine_logs, dataset_contents):
    """What Beam's in-process runner makes, on one thread."""
    output = tmp_path_factory.mktemp("baseline") / "out"
    prepare(engine_logs, output)
    return dataset_contents(output)


def prepare_by_command(logs, output, *flags):
    """The whole job, statistics included, as a user runs it."""
    argv = ["--input", str(logs), "--output", str(output), *THREE_ROUNDS, *flags]
    command = [sys.executable, "-m", "beam_jobs.prepare_dataset", *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-5000:]


def shown(root):
    command = [sys.executable, "-m", "beam_jobs.show", str(root)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def wait_until(condition, process, log):
    """Waits for what a process makes true; fails if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port)):
        return True
    return False


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
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def portable(installed_copy, tmp_path):
    """Flags of an engine whose workers know the project by an installed wheel alone.

    Beam's own job service stands for the engine, as a process of its own; the workers
    are processes that a pool starts. Each worker's copy of the project notes that it
    was imported.
    """
    notes = installed_copy / "imported"
    package = installed_copy / "beam_jobs" / "__init__.py"
    package.write_text(f"open({str(notes)!r}, 'a').write(__file__ + chr(10))\n")
    work = tmp_path / "engine"
    work.mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(installed_copy),
        # The pool starts its workers by the name `python`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    port, pool_port = free_port(), free_port()
    service = [sys.executable, "-m", JOB_SERVICE, f"--port={port}"]
    service += ["--staging_dir", str(work / "staging")]
    pool = [sys.executable, "-m", POOL, f"--service_port={pool_port}"]
    with (
        running(service, work / "service.log", cwd="/", env=environment) as first,
        running(pool, work / "pool.log", cwd="/", env=environment) as second,
    ):
        wait_until(lambda: listens(port), first, work / "service.log")
        wait_until(lambda: listens(pool_port), second, work / "pool.log")
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{port}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool_port}",
        ]
    assert set(notes.read_text().splitlines()) == {str(package)}


def test_threads_give_the_same(tmp_path, baseline, engine_logs, dataset_contents):
    flags = ("--direct_num_workers=3", "--direct_running_mode=multi_threading")
    prepare(engine_logs, tmp_path / "out", *flags)
    assert dataset_contents(tmp_path / "out") == baseline


def test_a_pool_of_workers_with_a_wheel_gives_the_same(
    tmp_path, baseline, engine_logs, dataset_contents, portable
):
    prepare(engine_logs, tmp_path / "out", *portable)
    assert dataset_contents(tmp_path / "out") == baseline


def test_a_pipeline_that_breaks_anywhere_and_runs_again_gives_the_same(
    tmp_path, baseline, engine_logs, dataset_contents, monkeypatch
):
    """As with an engine that restarts what a lost worker was at, some files written."""
    run_pipeline, rename = runner.run_pipeline, os.replace
    broken = []

    def run_again_and_again(wire, flags):
        for files_until_break in itertools.count(0, 3):
            left = itertools.count(files_until_break, -1)

            def rename_or_break(source, destination, left=left):
                if next(left) == 0:
                    raise OSError("the worker is lost")
                rename(source, destination)

            try:
                with monkeypatch.context() as patch:
                    patch.setattr(os, "replace", rename_or_break)
                    return run_pipeline(wire, flags)
            except Exception as error:
                assert "the worker is lost" in str(error)
                broken.append(files_until_break)

    monkeypatch.setattr(runner, "run_pipeline", run_again_and_again)
    prepare(engine_logs, tmp_path / "out")
    # Every pipeline broke before its first file; the longest, after its sixth too.
    assert broken.count(0) >= 4
    assert max(broken) >= 6
    assert dataset_contents(tmp_path / "out") == baseline


def but_statistics(contents):
    """Without TFDV's sketches, which depend on the order of merging, and their sums."""
    return {
        path: content
        for path, content in contents.items()
        if path.parts[0] not in ("statistics", MANIFEST_NAME)
    }


@pytest.mark.engines
def test_whole_jobs_in_worker_processes_give_the_same(
    tmp_path, engine_logs, dataset_contents, portable
):
    one, *others = (tmp_path / name for name in ("one", "processes", "portable"))
    prepare_by_command(engine_logs, one)
    processes = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    prepare_by_command(engine_logs, others[0], "--runner=DirectRunner", *processes)
    prepare_by_command(engine_logs, others[1], *portable)
    for other in others:
        assert shown(one) == shown(other)
        assert but_statistics(dataset_contents(one)) == (
            but_statistics(dataset_contents(other))
        )
