"""Flags for Beam itself, checked before a pipeline exists."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ANSWER_SECONDS = 20


class UsageError(ValueError):
    """A command line that cannot be meant, found after `parse_args`."""


def checked_beam_flags(flags: Sequence[str]) -> list[str]:
    """Flags for Beam's `PipelineOptions`, completed.

    `--setup_file` by its full path; and no copy of this process's main module for the
    workers, which import all they need.

    The job server of `--job_endpoint` is asked for options that it alone knows, such as
    Flink's `--execution_mode_for_batch`.

    Raises:
        UsageError: naming what is neither ours nor Beam's, an abbreviation included; a
            job server that does not answer; or a `--setup_file` that is none.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for options in _subclasses(PipelineOptions):
        options._add_argparse_args(parser)
    known, unknown = parser.parse_known_args(list(flags))
    if unknown and known.job_endpoint:
        for name in _options_of(known.job_endpoint):
            with contextlib.suppress(argparse.ArgumentError):  # Beam's own
                parser.add_argument(f"--{name}", nargs="?")
        known, unknown = parser.parse_known_args(list(flags))
    if unknown:
        raise UsageError(
            f"unrecognized arguments: {' '.join(unknown)} (neither the job's own, see "
            "--help, nor one of Beam's pipeline options; abbreviations are not taken)"
        )
    is_said = known.save_main_session is not None
    completed = [*([] if is_said else ["--no_save_main_session"]), *flags]
    if known.setup_file is not None:
        completed.append(f"--setup_file={_full_path_of_setup(known.setup_file)}")
    return completed


def _options_of(job_endpoint: str) -> list[str]:
    """Names of a job server's own options."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    request = beam_job_api_pb2.DescribePipelineOptionsRequest()
    with grpc.insecure_channel(job_endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            answer = stub.DescribePipelineOptions(request, timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise UsageError(
                f"argument --job_endpoint: the job server at {job_endpoint} must say "
                f"which options it has. Received: {error.code().name}"
            ) from None
    return [option.name for option in answer.options]


def _full_path_of_setup(text: str) -> Path:
    # Beam changes to the file's folder, which it takes from the path as given.
    path = Path(text).absolute()
    if path.name != "setup.py" or not path.is_file():
        raise UsageError(
            f"argument --setup_file: must be the path of a setup.py. Received: {text!r}"
        )
    return path


def _subclasses(base: Any) -> list[Any]:
    """All classes below a class, each once, in order of name."""
    direct = base.__subclasses__()
    below = {cls for child in direct for cls in (child, *_subclasses(child))}
    return sorted(below, key=str)
