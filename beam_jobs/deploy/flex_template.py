"""The data job as a flex template of Dataflow.

A flex template is one pipeline, launched and left alone. So the last step of the
pipeline does, on a worker, what `prepare_dataset` does after it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from beam_jobs.beam_flags import UsageError, checked_beam_flags
from beam_jobs.options import parse_args
from s4rec_tf.exit_codes import ExitCode


def launch(argv: Sequence[str]) -> None:
    """Checks a command line and starts its pipeline.

    Raises:
        UsageError: see `checked_beam_flags`.
        SystemExit: if one of the job's own flags is wrong.
        ValueError: if the inputs or the output are refused.
    """
    options = parse_args(argv)
    flags = checked_beam_flags(options.beam_flags)
    # Imported late: a wrong flag need not wait for Beam.
    from beam_jobs.deploy.one_pipeline import start_job

    start_job(options, flags)


def main() -> None:
    """Entry point of the template's launcher."""
    try:
        launch(sys.argv[1:])
    except ValueError as error:
        print(f"flex_template: error: {error}", file=sys.stderr)
        sys.exit(ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAILED)


if __name__ == "__main__":
    main()
