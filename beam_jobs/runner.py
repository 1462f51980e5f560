"""Running a wired pipeline on the engine that the flags name."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState

from beam_jobs.local.memory import give_freed_memory_back
from beam_jobs.local.runner import RunnerWithWorkers, num_workers_for
from beam_jobs.storage.remote_path import set_flags
from beam_jobs.transforms.counting import NAMESPACE

Metrics = dict[str, int]
"""The job's counters by name; empty where the engine gives none."""


class UnfinishedPipeline(ValueError):
    """A pipeline that an engine gave back before its end, a cancelled one say."""


class RunPipeline(Protocol):
    """Runs a pipeline to its end."""

    def __call__(
        self, wire: Callable[[beam.Pipeline], None], seconds: float = 0.0
    ) -> Metrics:
        """Builds the pipeline and runs it.

        Args:
            wire: adds the transforms to a pipeline.
            seconds: roughly, how long one core will be busy with it.
        """


def with_flags(flags: Sequence[str]) -> RunPipeline:
    """Runs pipelines with Beam's flags.

    Args:
        flags: Beam's flags. If they name no runner, pipelines run in this process, and
            those worth the start in a worker process for each core.
    """
    set_flags(flags)
    is_local = PipelineOptions(list(flags)).view_as(StandardOptions).runner is None

    def run(wire: Callable[[beam.Pipeline], None], seconds: float = 0.0) -> Metrics:
        return run_pipeline(wire, flags, runner_for(seconds) if is_local else None)

    def runner_for(seconds: float) -> FnApiRunner:
        num_workers = num_workers_for(seconds, len(os.sched_getaffinity(0)))
        if num_workers == 1:
            # `DirectRunner` would first try to download another one.
            return FnApiRunner()
        give_freed_memory_back(seconds)
        return RunnerWithWorkers(num_workers)

    return run


def run_pipeline(
    wire: Callable[[beam.Pipeline], None],
    flags: Sequence[str],
    runner: FnApiRunner | None = None,
) -> Metrics:
    """Builds a pipeline by `wire` and runs it to its end.

    Args:
        wire: adds the transforms to a pipeline.
        flags: Beam's flags.
        runner: the runner; that of the flags if None.

    Raises:
        UnfinishedPipeline: if the engine reports another end than success.
    """
    pipeline = beam.Pipeline(runner, PipelineOptions(list(flags)))
    wire(pipeline)
    result = pipeline.run()
    # Some engines raise when a pipeline fails; of a cancelled one they only tell.
    state = result.wait_until_finish() or result.state
    if state != PipelineState.DONE:
        raise UnfinishedPipeline(
            f"the engine must bring a pipeline to {PipelineState.DONE}. "
            f"Received: {state}"
        )
    return read_metrics(result)


def read_metrics(result: Any) -> Metrics:
    """The job's counters, as far as the engine gives them."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    except NotImplementedError:
        return {}
    totals: Metrics = {}
    for counter in found["counters"]:
        name, value = counter.key.metric.name, counter.result
        totals[name] = totals.get(name, 0) + (value or 0)
    return totals


def refused_by_system(error: BaseException) -> str | None:
    """The last line of a worker's `OSError`, which engines hand on as text; else None.

    Example: "...OSError: [Errno 28] No space left on device: '/d/x' [while running
    'Write']" -> that from "OSError" on.
    """
    lines = [line for line in str(error).splitlines() if ": " in line]
    for line in reversed(lines):
        kind = getattr(builtins, line.partition(":")[0].strip(), None)
        if isinstance(kind, type) and issubclass(kind, OSError):
            return line
    return None
