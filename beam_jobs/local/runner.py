"""Beam's in-process runner, with worker processes if the work is worth their start."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import (
    ExtendedProvisionInfo,
    FnApiRunner,
)
from google.protobuf import struct_pb2

from beam_jobs.local.forks import (
    ForkedEnvironment,
    can_fork,
    end_waiting,
    fork_workers,
)

_WORKERS_START_SECONDS = 2.0
"""Time that worker processes must save, to be worth their start."""


def num_workers_for(seconds: float, num_cores: int) -> int:
    """Worker processes for a pipeline: one a core, or 1 for this process alone.

    Args:
        seconds: roughly, how long one core will be busy with it.
        num_cores: number of cores.
    """
    saved = seconds - seconds / num_cores
    return num_cores if saved > _WORKERS_START_SECONDS else 1


class RunnerWithWorkers(FnApiRunner):
    """Beam's in-process runner, with worker processes that print errors alone.

    Workers are copies of this process where that is safe, else new programs.

    Args:
        num_workers: number of processes.
    """

    def __init__(self, num_workers: int) -> None:
        options = struct_pb2.Struct()
        options.update(
            {
                "default_sdk_harness_log_level": "ERROR",
                # Beam's 100 MB would hold side inputs of earlier stages.
                "max_cache_memory_usage_mb": "48",
            }
        )
        provision = beam_provision_api_pb2.ProvisionInfo(
            retrieval_token="unused", pipeline_options=options
        )
        super().__init__(
            default_environment=ForkedEnvironment(),
            provision_info=ExtendedProvisionInfo(provision),
        )
        self._number = num_workers

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> Any:
        """Makes the workers, which then know the pipeline's modules, and runs it."""
        direct = options.view_as(DirectOptions)
        direct.direct_num_workers = self._number
        is_safe = can_fork()
        # A mode replaces the environment that the constructor was given.
        direct.direct_running_mode = None if is_safe else "multi_processing"
        if is_safe:
            fork_workers(self._number)
        try:
            return super().run_pipeline(pipeline, options)
        finally:
            end_waiting()
