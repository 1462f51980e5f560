"""Raw interaction logs -> a dataset folder: `python -m beam_jobs.prepare_dataset`."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from beam_jobs.beam_flags import UsageError, checked_beam_flags
from beam_jobs.dataset.publish import building
from beam_jobs.local.memory import search_cycles_rarely
from beam_jobs.options import JobOptions, parse_args
from s4rec_tf.exit_codes import ExitCode, of_signal


def build(options: JobOptions) -> None:
    """Makes the dataset that the options describe.

    Raises:
        JobError: or another `ValueError` with what stopped the job.
    """
    # Imported late: `--help` and a wrong flag need not wait for Beam.
    _quiet_libraries()
    search_cycles_rarely()
    from beam_jobs.job import Job, Progress
    from beam_jobs.runner import with_flags

    run_pipeline = with_flags(checked_beam_flags(options.beam_flags))
    with building(options.output) as place:
        report = (lambda _: None) if options.quiet else Progress()
        Job(options, place, run_pipeline, report).run()


def _quiet_libraries() -> None:
    """Keeps remarks of the libraries that no user can act on off the terminal."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    logging.getLogger().setLevel(logging.ERROR)
    # What it logs is the text of an exception that it raises.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore", FutureWarning)
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")  # of workers


def run(argv: Sequence[str]) -> int:
    """The exit status of a command line: 0, 1 for a job that failed, 2 for usage."""
    options = parse_args(argv)
    try:
        build(options)
    except UsageError as error:
        return _fail(error, ExitCode.USAGE)
    except OSError as error:
        return _fail(f"{options.output} cannot be made: {error}", ExitCode.FAILED)
    except ValueError as error:
        return _fail(error, ExitCode.FAILED)
    except RuntimeError as error:  # what an engine makes of a worker's error
        from beam_jobs.runner import refused_by_system

        reason = refused_by_system(error)
        if reason is None:
            raise
        return _fail(f"{options.output} cannot be made: {reason}", ExitCode.FAILED)
    if options.json:
        print(json.dumps(_result(options.output)))
    return ExitCode.OK


def _result(output: Path) -> dict[str, object]:
    manifest = json.loads((output / "MANIFEST.json").read_text("utf-8"))
    return {"dataset": str(output), "counts": manifest["counts"]}


def _fail(error: Exception | str, status: int) -> int:
    print(f"prepare_dataset: error: {error}", file=sys.stderr)
    return status


def _stop(number: int, frame: object) -> NoReturn:
    # Leaves through the `finally`s, which remove what is half written.
    raise SystemExit(of_signal(number))


def main() -> None:
    """Entry point of `python -m beam_jobs.prepare_dataset`."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
