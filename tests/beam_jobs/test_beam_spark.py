"""The data job on a real Apache Spark; `make test-spark` fetches what it needs."""

import pytest
from engine_processes import (
    assert_same_dataset,
    free_port,
    listens,
    run_job,
    running,
    wait_until,
    worker_pool,
)
from fetch_spark import JARS
from flink_cluster import JAVA

JOB_SERVER = "org.apache.beam.runners.spark.SparkJobServerDriver"
OPENED = ("java.lang.invoke", "sun.nio.cs", "sun.security.action", "sun.util.calendar")


@pytest.fixture
def spark(tmp_path):
    """Flags for Spark with two threads, in the process of its job server."""
    port, log = free_port(), tmp_path / "spark.log"
    command = [*JAVA, *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED)]
    command += ["-Xmx1g", "-cp", f"{JARS}/*", JOB_SERVER, "--job-host=localhost"]
    command += [f"--job-port={port}", "--artifact-port=0", "--expansion-port=0"]
    command += [f"--artifacts-dir={tmp_path / 'staging'}"]
    command += ["--spark-master-url=local[2]"]
    with running(command, log) as process:
        wait_until(lambda: listens(port), process, log)
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{port}",
            "--environment_cache_millis=600000",
        ]
    assert "DAGScheduler: Job 0 finished" in log.read_text()


@pytest.mark.spark
def test_spark_gives_the_same(tmp_path, engine_logs, installed_copy, spark):
    one, other, folder = (tmp_path / name for name in ("one", "other", "pool"))
    run_job(engine_logs, one, "--runner=FnApiRunner")
    folder.mkdir()
    with worker_pool(installed_copy, folder) as pool:
        run_job(engine_logs, other, *spark, *pool.flags)
    assert_same_dataset(one, other)
