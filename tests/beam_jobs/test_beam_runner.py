"""Which flags a pipeline runs with on this machine, and how it may end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest

from beam_jobs.local.runner import num_workers_for
from beam_jobs.runner import (
    UnfinishedPipeline,
    refused_by_system,
    run_pipeline,
    with_flags,
)
from beam_jobs.transforms.counting import CountingDoFn


@pytest.mark.parametrize(
    ("seconds", "num_cores", "num_workers"),
    [(0, 8, 1), (3, 2, 1), (1e6, 1, 1), (5, 2, 2), (3, 16, 16)],
)
def test_large_work_gets_a_process_a_core(
    seconds: float, num_cores: int, num_workers: int
) -> None:
    assert num_workers_for(seconds, num_cores) == num_workers


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


def in_a_new_process(code):
    """Runs code in a process without threads; what it prints."""
    lines = [
        "import os, apache_beam as beam",
        "from beam_jobs import runner",
        "from beam_jobs.runner import with_flags",
        "runner.num_workers_for = lambda *_: 2",
        code,
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=os.environ
        | {
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTHONWARNINGS": "ignore::FutureWarning",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


TWO_PIPELINES = """
from test_beam_runner import note_process
for number in range(2):
    with_flags([])(
        lambda p: p | beam.Create(range(8)) | beam.Reshuffle() | beam.Map(note_process),
        seconds=1e6,
    )
    print("driver", os.getpid())
"""


def note_process(number):
    how = (
        "forked"
        if "sdk_worker_main" not in Path("/proc/self/cmdline").read_text()
        else "started"
    )
    # One write, which the other worker's line can't split.
    os.write(1, f"{how} {os.getpid()}\n".encode())


def test_workers_are_copies_the_first_time_and_new_programs_then():
    status, printed, errors = in_a_new_process(TWO_PIPELINES)
    assert (status, errors) == (0, "")
    first, second = printed.split("driver", 1)
    assert {line.split()[0] for line in first.splitlines()} == {"forked"}
    driver, *then = second.splitlines()
    assert {line.split()[0] for line in then[:-1]} == {"started"}
    assert driver.strip() not in {line.split()[1] for line in first.splitlines()}


LOSES_A_WORKER = """
from beam_jobs.local import forks
from test_beam_runner import lose_worker
if {is_early}:
    forks._work = lose_worker
try:
    with_flags([])(lambda p: p | beam.Create([1]) | beam.Map(lose_worker), seconds=1e6)
except RuntimeError as error:
    print(error)
"""


def lose_worker(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("is_early", [False, True])
def test_a_lost_copy_fails_the_pipeline(is_early):
    code = LOSES_A_WORKER.format(is_early=is_early)
    status, printed, _ = in_a_new_process(code)
    assert status == 0
    assert printed == "A worker process ended early, with status -9\n"


def fail(number):
    raise ValueError(f"worker has {number}")


def test_worker_processes_are_quiet_unless_they_fail(capfd, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::FutureWarning")
    run_here = with_flags([])
    run_here(lambda pipeline: pipeline | beam.Create([1]), seconds=1e6)
    assert capfd.readouterr().err == ""
    with pytest.raises(RuntimeError, match="worker has 1"):
        run_here(
            lambda pipeline: pipeline | beam.Create([1]) | beam.Map(fail), seconds=1e6
        )


class Counting(CountingDoFn):
    def process(self, number):
        self.counts["odd"] += number % 2
        self.counts[f"days:{number}"] += 1
        yield number


def test_counters_are_read_from_the_engine():
    def wire(pipeline):
        pipeline | beam.Create([1, 2, 3]) | beam.ParDo(Counting()).with_outputs()

    assert run_pipeline(wire, ["--runner=FnApiRunner"]) == {"odd": 2}


def full_disk(number):
    raise OSError(errno.ENOSPC, "No space left on device", "/d/x")


def test_what_the_system_refuses_is_found_in_an_engines_text():
    with pytest.raises(RuntimeError) as caught:
        run_pipeline(
            lambda pipeline: pipeline | beam.Create([1]) | "W" >> beam.Map(full_disk),
            ["--runner=FnApiRunner"],
        )
    reason = refused_by_system(caught.value)
    assert reason.startswith("OSError: [Errno 28] No space left on device: '/d/x'")
    assert "while running 'W" in reason
    assert refused_by_system(RuntimeError("KeyError: 'x' [while running 'W']")) is None


@pytest.mark.parametrize("seconds, kept", [(5.0, 32 << 20), (300.0, 4 << 20)])
def test_a_short_job_keeps_more_of_what_it_frees(seconds, kept):
    code = (
        "import os; from beam_jobs.local.memory import give_freed_memory_back;"
        "[os.environ.pop(name) for name in list(os.environ) if 'MALLOC' in name];"
        "os.environ['MALLOC_TRIM_THRESHOLD_'] = '7';"
        f"give_freed_memory_back({seconds});"
        "print(*(os.environ[f'MALLOC_{name}']"
        " for name in ('ARENA_MAX', 'MMAP_THRESHOLD_', 'TRIM_THRESHOLD_')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["1", str(kept), "7"]
