"""The data job on Prism, Beam's runner in Go; `make test-prism` builds it."""

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
from fetch_prism import PRISM

pytestmark = pytest.mark.prism


@pytest.fixture
def prism(tmp_path):
    """Flags for a Prism that runs as a server; its log ends every job well."""
    port, log = free_port(), tmp_path / "prism.log"
    command = [str(PRISM), f"--job_port={port}", "--serve_http=false"]
    with running(command, log) as process:
        wait_until(lambda: listens(port), process, log)
        yield ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}"]
    assert log.read_text().count("pipeline done!") == 1


def test_prism_gives_the_same(tmp_path, in_process, engine_logs, prism):
    run_job(engine_logs, tmp_path / "out", *prism, "--environment_type=LOOPBACK")
    assert_same_dataset(in_process, tmp_path / "out")


def test_prism_gives_the_same_with_a_pool_of_workers(
    tmp_path, in_process, engine_logs, prism, installed_copy
):
    folder = tmp_path / "pool"
    folder.mkdir()
    with worker_pool(installed_copy, folder) as pool:
        run_job(engine_logs, tmp_path / "out", *prism, *pool.flags)
    assert_same_dataset(in_process, tmp_path / "out")


def test_the_prism_runner_of_beam_gives_the_same(tmp_path, in_process, engine_logs):
    flags = ("--runner=PrismRunner", f"--prism_location={PRISM}")
    run_job(engine_logs, tmp_path / "out", *flags)
    assert_same_dataset(in_process, tmp_path / "out")
