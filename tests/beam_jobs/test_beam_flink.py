"""The data job on a real Apache Flink; `make test-flink` fetches what it needs."""

import subprocess

import pytest
from engine_processes import (
    JOB_SECONDS,
    assert_same_dataset,
    job_command,
    run_job,
    running,
    wait_until,
    worker_pool,
)
from fetch_flink import JOB_SERVER, LIBRARIES
from flink_cluster import FlinkCluster, flink_job_server

pytestmark = pytest.mark.flink


@pytest.fixture
def flink(tmp_path):
    folder = tmp_path / "flink"
    folder.mkdir()
    with FlinkCluster(LIBRARIES, JOB_SERVER, folder) as cluster:
        yield cluster


@pytest.fixture
def flags(flink, installed_copy, tmp_path):
    """Flags for the cluster, with workers beside it that know an installed wheel."""
    folder = tmp_path / "pool"
    folder.mkdir()
    with (
        worker_pool(installed_copy, folder) as pool,
        flink_job_server(JOB_SERVER, flink, folder) as server,
    ):
        yield [*server, *pool.flags]


def assert_all_finished(flink):
    assert {job["state"] for job in flink.jobs()} == {"FINISHED"}


def test_flink_gives_the_same(tmp_path, in_process, engine_logs, flink, flags):
    run_job(engine_logs, tmp_path / "out", *flags)
    assert len(flink.jobs()) == 1
    assert_all_finished(flink)
    assert_same_dataset(in_process, tmp_path / "out")


def test_flink_gives_the_same_when_a_task_manager_is_killed(
    tmp_path, in_process, engine_logs, flink, flags
):
    log = tmp_path / "job.log"
    command = job_command(engine_logs, tmp_path / "out", *flags)
    with running(command, log) as job:
        wait_until(flink.is_within_a_job, job, log, JOB_SECONDS)
        flink.kill_task_manager()
        flink.start_task_manager()
        try:
            assert job.wait(JOB_SECONDS) == 0, log.read_text()[-5000:]
        except subprocess.TimeoutExpired:
            pytest.fail(log.read_text()[-5000:])
    assert len(flink.jobs()) == 1
    assert_all_finished(flink)
    assert any(flink.failures(job["jid"]) for job in flink.jobs())
    assert_same_dataset(in_process, tmp_path / "out")
