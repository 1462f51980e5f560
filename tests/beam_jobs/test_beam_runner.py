"""Which flags a pipeline runs with on this machine, and how it may end."""

from __future__ import annotations

import time

import apache_beam as beam
import pytest
from apache_beam.runners.portability import local_job_service

from beam_jobs.runner import (
    UnfinishedPipeline,
    local_flags,
    run_pipeline,
    with_flags,
)

ONE_PROCESS = ["--runner=FnApiRunner"]


@pytest.mark.parametrize(("seconds", "num_cores"), [(0, 8), (7, 2), (1e6, 1)])
def test_small_work_stays_in_this_process(seconds: float, num_cores: int) -> None:
    assert local_flags(seconds, num_cores) == ONE_PROCESS


@pytest.mark.parametrize(("seconds", "num_cores"), [(9, 2), (5, 16)])
def test_large_work_gets_a_process_a_core(seconds: float, num_cores: int) -> None:
    assert local_flags(seconds, num_cores) == [
        *ONE_PROCESS,
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={num_cores}",
    ]


class Engine(beam.runners.PipelineRunner):
    """Runs nothing, and says how a pipeline ended in either of the ways in use."""

    ended = "DONE"
    tells_when_awaited = True

    def run_pipeline(self, pipeline, options):
        told = self.ended if self.tells_when_awaited else None
        result = beam.runners.runner.PipelineResult(self.ended)
        result.wait_until_finish = lambda duration=None: told
        return result


def run(monkeypatch, ended, tells_when_awaited):
    monkeypatch.setattr(Engine, "ended", ended)
    monkeypatch.setattr(Engine, "tells_when_awaited", tells_when_awaited)
    monkeypatch.setattr(beam.pipeline, "create_runner", lambda name: Engine())
    run_pipeline(lambda pipeline: pipeline | beam.Create([1]), ["--runner=Engine"])


@pytest.mark.parametrize("tells_when_awaited", [True, False])
def test_only_a_pipeline_that_is_done_counts(monkeypatch, tells_when_awaited):
    run(monkeypatch, "DONE", tells_when_awaited)
    for ended in ("CANCELLED", "FAILED", "UNKNOWN"):
        with pytest.raises(UnfinishedPipeline, match=f"Received: {ended}$"):
            run(monkeypatch, ended, tells_when_awaited)


def fail(number):
    raise ValueError(f"worker has {number}")


def test_worker_processes_are_quiet_unless_they_fail(capfd):
    run_here = with_flags([])
    run_here(lambda pipeline: pipeline | beam.Create([1]), seconds=1e6)
    assert capfd.readouterr().err == ""
    with pytest.raises(RuntimeError, match="worker has 1") as caught:
        run_here(
            lambda pipeline: pipeline | beam.Create([1]) | beam.Map(fail), seconds=1e6
        )
    assert "Python sdk harness exiting" in "".join(caught.value.__notes__)


@pytest.mark.timeout(120)
def test_a_failure_is_told_before_every_worker_has_connected(monkeypatch):
    start, started = local_job_service.SubprocessSdkWorker.run, []

    def start_late(worker):
        started.append(worker)
        if len(started) == 1:
            time.sleep(6)
        start(worker)

    monkeypatch.setattr(local_job_service.SubprocessSdkWorker, "run", start_late)
    with pytest.raises(RuntimeError, match="worker has 1"):
        with_flags([])(
            lambda pipeline: pipeline | beam.Create([1]) | beam.Map(fail), seconds=1e6
        )
    assert len(started) > 1
