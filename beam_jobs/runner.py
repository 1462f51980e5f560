"""Running a wired pipeline on the engine that the flags name."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineState

from beam_jobs import worker_processes
from beam_jobs.storage.remote_path import set_flags

LOCAL_RUNNER = "FnApiRunner"
"""Beam's in-process runner; `DirectRunner` would first try to download another one."""

_WORKERS_START_SECONDS = 4.0
"""What it takes until worker processes have imported what they need."""

_KEPT_TALK_BYTES = 4000


class UnfinishedPipeline(ValueError):
    """A pipeline that an engine gave back before its end, a cancelled one say."""


class RunPipeline(Protocol):
    """Runs a pipeline to its end."""

    def __call__(
        self, wire: Callable[[beam.Pipeline], None], seconds: float = 0.0
    ) -> None:
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

    def run(wire: Callable[[beam.Pipeline], None], seconds: float = 0.0) -> None:
        num_cores = len(os.sched_getaffinity(0))
        local = local_flags(seconds, num_cores) if is_local else []
        with contextlib.ExitStack() as stack:
            if len(local) > 1:
                worker_processes.use()
                stack.enter_context(_workers_talk_kept())
            run_pipeline(wire, [*local, *flags])

    return run


def run_pipeline(wire: Callable[[beam.Pipeline], None], flags: Sequence[str]) -> None:
    """Builds a pipeline by `wire` and runs it to its end.

    Args:
        wire: adds the transforms to a pipeline.
        flags: Beam's flags.

    Raises:
        UnfinishedPipeline: if the engine says that it ended otherwise than done.
    """
    pipeline = beam.Pipeline(options=PipelineOptions(list(flags)))
    wire(pipeline)
    result = pipeline.run()
    # Some engines raise when a pipeline fails; of a cancelled one they only tell.
    state = result.wait_until_finish() or result.state
    if state != PipelineState.DONE:
        raise UnfinishedPipeline(
            f"the engine must bring a pipeline to {PipelineState.DONE}. "
            f"Received: {state}"
        )


@contextlib.contextmanager
def _workers_talk_kept() -> Iterator[None]:
    """Keeps what worker processes print, dozens of lines each, for an error's notes."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as talk:
        os.dup2(talk.fileno(), 2)
        try:
            yield
        except Exception as error:
            talk.seek(max(0, talk.tell() - _KEPT_TALK_BYTES))
            error.add_note(talk.read().decode("utf-8", "replace"))
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def local_flags(seconds: float, num_cores: int) -> list[str]:
    """Beam's flags for a pipeline on this machine.

    Args:
        seconds: how long one core will be busy with it.
        num_cores: number of cores.
    """
    flags = [f"--runner={LOCAL_RUNNER}"]
    if seconds - seconds / num_cores <= _WORKERS_START_SECONDS:
        return flags
    return [
        *flags,
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={num_cores}",
    ]
