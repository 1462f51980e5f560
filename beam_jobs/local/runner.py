"""Beam's in-process runner, with worker processes if the work is worth their start."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import (
    ExtendedProvisionInfo,
    FnApiRunner,
)
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from google.protobuf import struct_pb2

_WORKERS_START_SECONDS = 12.0
"""Start-up time of worker processes, TFDV's import included."""


def num_workers_for(seconds: float, num_cores: int) -> int:
    """Worker processes for a pipeline: one a core, or 1 for this process alone.

    Args:
        seconds: roughly, how long one core will be busy with it.
        num_cores: number of cores.
    """
    saved = seconds - seconds / num_cores
    return num_cores if saved > _WORKERS_START_SECONDS else 1


class WorkerProcesses(FnApiRunner):
    """Beam's in-process runner, with worker processes that print errors alone.

    Args:
        num_workers: number of processes.
        modules: what they import first; see `beam_jobs.local.worker`.
    """

    def __init__(self, num_workers: int, modules: Sequence[str] = ()) -> None:
        options = struct_pb2.Struct()
        options.update({"default_sdk_harness_log_level": "ERROR"})
        provision = beam_provision_api_pb2.ProvisionInfo(
            retrieval_token="unused", pipeline_options=options
        )
        command = [sys.executable, "-m", "beam_jobs.local.worker", *modules]
        super().__init__(
            default_environment=SubprocessSDKEnvironment.from_command_string(
                shlex.join(command)
            ),
            provision_info=ExtendedProvisionInfo(provision),
        )
        self._number = num_workers

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> Any:
        """Starts the workers and runs the pipeline."""
        direct = options.view_as(DirectOptions)
        direct.direct_num_workers = self._number
        # Any mode would replace the command that starts the workers.
        direct.direct_running_mode = None
        return super().run_pipeline(pipeline, options)
