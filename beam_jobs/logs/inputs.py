"""The log files of a job: which, how they are read, whether they fit together."""

from __future__ import annotations

from collections.abc import Callable, Collection

from beam_jobs.logs.checks import SWAPPED_COLUMNS, check_columns, parse_first_lines
from beam_jobs.logs.files import Fingerprint, InputError, fingerprint, match_files
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.log_file import LogFile
from beam_jobs.options import JobOptions
from beam_jobs.splits import LEAVE_ONE_OUT


def find_inputs(
    options: JobOptions, known_items: Collection[str], report: Callable[[str], None]
) -> tuple[list[LogFile], list[Fingerprint]]:
    """Input files in an order that does not depend on how they were named.

    Args:
        options: what the user asked for.
        known_items: raw ids of the items of the dataset that is gone on from.
        report: prints a line of progress.

    Returns:
        the files that have lines, and the identity of every file.

    Raises:
        InputError: if a file cannot be read, its format not be told, its first lines
            are no actions, or the files do not fit together.
    """
    identified = sorted(
        (fingerprint(path), split_number, path)
        for split_number, patterns in enumerate(
            (options.inputs, options.valid_inputs, options.test_inputs)
        )
        for path in match_files(patterns)
    )
    log_files = []
    for number, (identity, split_number, path) in enumerate(identified):
        fit = decide_format(path, options.format_options)
        if fit is None:
            report(f"{path}: no lines")
            continue
        line_format, reason = fit
        report(f"{path}: {line_format.name} ({reason})")
        log_files.append(
            LogFile(path, identity.name, number, line_format, split_number)
        )
    _check_together(log_files, options)
    _check_first_lines(log_files, options, known_items)
    return log_files, [identity for identity, *_ in identified]


def order_is_time(log_files: list[LogFile]) -> bool:
    """Whether a log is of sequences, whose order stands for times."""
    return any(log_file.line_format.shape == "sequences" for log_file in log_files)


def _check_together(log_files: list[LogFile], options: JobOptions) -> None:
    if not log_files and options.previous is None:
        raise InputError("the input files hold no lines")
    shapes = {log_file.line_format.shape == "sequences" for log_file in log_files}
    if len(shapes) > 1 or (True in shapes and options.previous is not None):
        raise InputError(
            "logs of sequences, which have no times, cannot be joined with other logs"
        )
    selection = options.selection
    if True in shapes and options.split_rule.kind != LEAVE_ONE_OUT:
        raise InputError(
            "logs of sequences have no times; only leave_one_out splits them"
        )
    if True in shapes and selection != (None, None, None):
        raise InputError(
            "--since, --until and --min_rating need times and ratings, which logs of "
            "sequences do not have"
        )
    for log_file in log_files:
        if (
            not log_file.line_format.may_have_ratings
            and selection.min_rating is not None
        ):
            raise InputError(
                f"--min_rating needs ratings; name the column of {log_file.path} by "
                "--columns ...,rating=..."
            )


def _check_first_lines(
    log_files: list[LogFile], options: JobOptions, known_items: Collection[str]
) -> None:
    if options.max_bad_share == 1:
        return
    known = set() if SWAPPED_COLUMNS in options.allow else set(known_items)
    for log_file in log_files:
        check_columns(log_file, parse_first_lines(log_file), known)
