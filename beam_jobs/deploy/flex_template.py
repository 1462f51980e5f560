"""The data job as a flex template of Dataflow.

A flex template is one pipeline, launched and left alone. The data job is a driver that
runs several in turn, each by what the one before it found. So the template's pipeline
has one element, the command line; the worker that gets it runs the driver, whose
pipelines are Dataflow jobs of their own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import deque
from collections.abc import Sequence

from beam_jobs.beam_flags import UsageError, checked_beam_flags
from beam_jobs.options import parse_args

LAUNCH_FLAGS = ("template_location", "job_name", "staging_location")
"""What the launcher says of the template's own pipeline alone."""

_COMMAND = (sys.executable, "-m", "beam_jobs.prepare_dataset")
_KEPT_LINES = 50


class DriverFailed(RuntimeError):
    """The data job ended with another status than 0; holds its last lines."""


def job_arguments(argv: Sequence[str]) -> list[str]:
    """The data job's command line in that of the template: without `LAUNCH_FLAGS`."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for name in LAUNCH_FLAGS:
        parser.add_argument(f"--{name}")
    return parser.parse_known_args(list(argv))[1]


def run_job(arguments: Sequence[str], command: Sequence[str] = _COMMAND) -> None:
    """Runs the data job to its end and passes its lines on.

    Args:
        arguments: its command line.
        command: what to run.

    Raises:
        DriverFailed: if it fails.
    """
    last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, text=True, errors="replace"
    ) as driver:
        assert driver.stderr is not None
        for line in driver.stderr:
            sys.stderr.write(line)
            last_lines.append(line)
    if driver.returncode != 0:
        raise DriverFailed(
            f"the data job must end with status 0. Received: {driver.returncode}\n"
            f"{''.join(last_lines)}"
        )


def launch(argv: Sequence[str]) -> None:
    """Checks a command line and starts the pipeline of one element that runs it.

    Raises:
        UsageError: see `checked_beam_flags`.
        SystemExit: if one of the job's own flags is wrong.
    """
    flags = checked_beam_flags(parse_args(argv).beam_flags)
    # Imported late: a wrong flag need not wait for Beam.
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions([*flags, "--num_workers=1", "--max_num_workers=1"])
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | "CommandLine" >> beam.Create([job_arguments(argv)])
        | "RunJob" >> beam.Map(run_job)
    )
    # Not awaited: the launcher takes the graph and ends, before the job has run.
    pipeline.run()


def main() -> None:
    """Entry point of the template's launcher."""
    try:
        launch(sys.argv[1:])
    except UsageError as error:
        print(f"flex_template: error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
