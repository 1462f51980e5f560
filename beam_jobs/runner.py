"""Running a wired pipeline on the engine that the flags name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


def run_pipeline(wire: Callable[[beam.Pipeline], None], flags: Sequence[str]) -> None:
    """Builds a pipeline by `wire` and runs it to its end.

    Args:
        wire: adds the transforms to a pipeline.
        flags: Beam's flags.
    """
    pipeline = beam.Pipeline(options=PipelineOptions(list(flags)))
    wire(pipeline)
    pipeline.run().wait_until_finish()


def with_flags(
    flags: Sequence[str],
) -> Callable[[Callable[[beam.Pipeline], None]], None]:
    """`run_pipeline` with the flags filled in."""
    return functools.partial(run_pipeline, flags=flags)
