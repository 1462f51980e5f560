"""Amazon Beauty fifty times over through a small Flink; `make test-flink-large`."""

import os
import time

import pytest
from engine_processes import (
    assert_same_dataset,
    run_job,
    worker_pool,
)
from fetch_flink import JOB_SERVER, LIBRARIES
from flink_cluster import ONE_GIB, FlinkCluster, flink_job_server

from benchmarks.shop_log import read_reviews, source_log, write_copies

TIMES = int(os.environ.get("S4REC_FLINK_TIMES", "50"))
SECONDS = 4 * 3600

PARTS = 4
IN_PARTS = [f"--parallelism={PARTS}", "--execution_mode_for_batch=BATCH_FORCED"]
"""One slot runs a stage's parts in turn. What a worker has sent and Flink not yet taken
is held in Flink's heap, up to a part's output: parts must be small beside the heap."""

PATIENT = {"heartbeat.interval": "10000", "heartbeat.timeout": "50000"}
"""Flink's defaults: on a busy machine a TaskManager may be silent for some seconds."""


def timed(logs, output, *flags):
    """Seconds of a whole job, of the k that the data were published with."""
    start = time.monotonic()
    run_job(logs, output, "--k_core=5", "--num_shards=4", *flags, seconds=SECONDS)
    return time.monotonic() - start


@pytest.mark.flink_large
def test_a_small_flink_gives_the_same_of_a_large_log(tmp_path, installed_copy, capsys):
    for name in ("logs", "flink", "pool"):
        (tmp_path / name).mkdir()
    reviews = read_reviews(source_log(tmp_path))
    lines = write_copies(reviews, tmp_path / "logs", TIMES)
    logs, one, other = tmp_path / "logs" / "*", tmp_path / "one", tmp_path / "other"
    with (
        FlinkCluster(
            LIBRARIES, JOB_SERVER, tmp_path / "flink", ONE_GIB, 1, PATIENT
        ) as cluster,
        worker_pool(installed_copy, tmp_path / "pool") as pool,
        flink_job_server(JOB_SERVER, cluster, tmp_path / "pool") as server,
    ):
        try:
            on_flink = timed(logs, other, *server, *pool.flags, *IN_PARTS)
        except AssertionError:
            for job in cluster.jobs():
                print(cluster.failures(job["jid"]))
            raise
        assert [job["state"] for job in cluster.jobs()] == ["FINISHED"]
    here = timed(logs, one)
    with capsys.disabled():
        print(f"\n{lines:,} actions: Flink {on_flink:.0f} s, in process {here:.0f} s")
    assert_same_dataset(one, other)
