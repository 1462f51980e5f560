"""Running a wired pipeline on the engine that the flags name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState


class UnfinishedPipeline(ValueError):
    """A pipeline that an engine gave back before its end, a cancelled one say."""


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


def with_flags(
    flags: Sequence[str],
) -> Callable[[Callable[[beam.Pipeline], None]], None]:
    """`run_pipeline` with the flags filled in."""
    return functools.partial(run_pipeline, flags=flags)
