"""The same logs give the same bytes, whichever engine runs the job."""

import itertools
import os

import pytest
from engine_processes import (
    START_SECONDS,
    assert_same_dataset,
    contents,
    job_command,
    job_service,
    run_job,
    running,
    shown,
    wait_until,
    worker_pool,
)
from without_statistics import leave_statistics_out

from beam_jobs import prepare_dataset, runner


def prepare(logs, output, *flags):
    """The job without statistics, which take long; the bytes of what it makes."""
    argv = ["--num_shards=3", "--input", str(logs), "--output", str(output), *flags]
    with pytest.MonkeyPatch.context() as patch:
        leave_statistics_out(patch)
        assert prepare_dataset.run(argv) == 0
    return contents(output)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory, engine_logs):
    """The dataset of Beam's in-process runner, on one thread."""
    return prepare(engine_logs, tmp_path_factory.mktemp("baseline") / "out")


@pytest.fixture
def engine_folder(tmp_path):
    (tmp_path / "engine").mkdir()
    return tmp_path / "engine"


@pytest.fixture
def pool(installed_copy, engine_folder):
    """Workers that know the project by an installed wheel alone."""
    with worker_pool(installed_copy, engine_folder) as pool:
        yield pool


@pytest.fixture
def portable(installed_copy, engine_folder, pool):
    """Flags of an engine, which is a process, and of its pool of workers."""
    with job_service(installed_copy, engine_folder) as flags:
        yield [*flags, *pool.flags]


def test_threads_give_the_same(tmp_path, baseline, engine_logs):
    flags = ("--direct_num_workers=3", "--direct_running_mode=multi_threading")
    assert prepare(engine_logs, tmp_path / "out", *flags) == baseline


@pytest.mark.slow
def test_a_pool_of_workers_with_a_wheel_gives_the_same(
    tmp_path, baseline, engine_logs, portable
):
    assert prepare(engine_logs, tmp_path / "out", *portable) == baseline


def test_a_pipeline_that_breaks_anywhere_and_runs_again_gives_the_same(
    tmp_path, baseline, engine_logs, monkeypatch
):
    """As with an engine that restarts what a lost worker was at, some files written."""
    run_pipeline, rename = runner.run_pipeline, os.replace
    broken = []

    def run_again_and_again(wire, flags, engine=None):
        for files_until_break in itertools.count(0, 5):
            left = itertools.count(files_until_break, -1)

            def rename_or_break(source, destination, left=left):
                if next(left) == 0:
                    raise OSError("the worker is lost")
                rename(source, destination)

            try:
                with monkeypatch.context() as patch:
                    patch.setattr(os, "replace", rename_or_break)
                    return run_pipeline(wire, flags, engine)
            except Exception as error:
                assert "the worker is lost" in str(error)
                broken.append(files_until_break)

    monkeypatch.setattr(runner, "run_pipeline", run_again_and_again)
    assert prepare(engine_logs, tmp_path / "out") == baseline
    # It broke before its first file, and within them.
    assert broken.count(0) == 1
    assert max(broken) >= 10


@pytest.mark.engines
def test_whole_jobs_in_worker_processes_give_the_same(tmp_path, engine_logs, portable):
    one, *others = (tmp_path / name for name in ("one", "processes", "portable"))
    run_job(engine_logs, one)
    processes = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    run_job(engine_logs, others[0], "--runner=DirectRunner", *processes)
    run_job(engine_logs, others[1], *portable)
    for other in others:
        assert_same_dataset(one, other)


@pytest.mark.engines
def test_a_lost_worker_fails_the_job_and_leaves_nothing(
    tmp_path, engine_logs, engine_folder, portable, pool
):
    """This engine does not restart what a lost worker was at."""
    log = engine_folder / "job.log"
    with running(job_command(engine_logs, tmp_path / "out", *portable), log) as job:
        # Not before: a worker that is lost while it starts, the engine waits for.
        actions = "out.tmp-*/dataset/actions/part-*"
        wait_until(lambda: any(tmp_path.glob(actions)), job, log)
        pool.kill_workers()
        assert job.wait(START_SECONDS) == 1
    assert "Channel closed prematurely" in log.read_text()
    assert list(tmp_path.iterdir()) == [engine_folder]
    run_job(engine_logs, tmp_path / "out", *portable)
    run_job(engine_logs, tmp_path / "one")
    assert shown(tmp_path / "out") == shown(tmp_path / "one")


@pytest.mark.engines
def test_the_flex_templates_pipeline_runs_the_job(tmp_path, engine_logs):
    run_job(engine_logs, tmp_path / "one")
    module = "beam_jobs.deploy.flex_template"
    run_job(engine_logs, tmp_path / "two", module=module)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
