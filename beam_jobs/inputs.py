"""The logs of a job as its launcher sees them: names, sizes, first lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import NamedTuple

from beam_jobs.logs.checks import SWAPPED_COLUMNS, check_columns, parse_first_lines
from beam_jobs.logs.files import InputError, match_files
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.log_file import LogFile
from beam_jobs.options import JobOptions
from beam_jobs.splits import LEAVE_ONE_OUT
from beam_jobs.storage.remote_path import RemotePath, is_remote
from beam_jobs.transforms.group_by_user import Ties

CHECKED_FILES = 20
"""Files whose first lines the launcher looks at; workers look at those of all."""

_PACKED_FACTOR = 6
"""Unpacked size of a gzip or Parquet log over its packed size, roughly."""


class Inputs(NamedTuple):
    """The logs of a job.

    Attributes:
        num_files: number of files.
        num_bytes: their size as stored.
        unpacked_bytes: about what they unpack to.
        order_is_time: whether they are sequences, whose order stands for times.
        ties: the order of actions of one time that their formats ask for.
        checked: the files whose first lines were looked at.
    """

    num_files: int = 0
    num_bytes: int = 0
    unpacked_bytes: int = 0
    order_is_time: bool = False
    ties: Ties = "item_id"
    checked: tuple[LogFile, ...] = ()


def look_at_inputs(
    options: JobOptions, known_items: Collection[str], report: Callable[[str], None]
) -> Inputs:
    """Lists the logs and refuses what their first lines rule out.

    Args:
        options: what the user asked for.
        known_items: raw ids of the items of the dataset that is gone on from.
        report: prints a line of progress.

    Raises:
        InputError: if a file cannot be read, its format not be told, its first lines
            are no actions, or the files do not fit together.
    """
    groups = (options.inputs, options.valid_inputs, options.test_inputs)
    paths = [path for patterns in groups for path in match_files(patterns)]
    log_files = []
    for path in paths[:CHECKED_FILES]:
        fit = decide_format(path, options.format_options)
        if fit is None:
            report(f"{path}: no lines")
            continue
        report(f"{path}: {fit.line_format.name} ({fit.reason})")
        log_files.append(LogFile(path, path, 0, fit.line_format))
    if len(paths) > CHECKED_FILES:
        report(f"and {len(paths) - CHECKED_FILES:,} files more")
    _check_together(log_files, options)
    _check_first_lines(log_files, options, known_items)
    return _summary(paths, log_files)


def _summary(paths: list[str], log_files: list[LogFile]) -> Inputs:
    formats = [log_file.line_format for log_file in log_files]
    sizes = list(map(_size, paths[:CHECKED_FILES] if _any_remote(paths) else paths))
    num_bytes = round(sum(sizes) * len(paths) / max(len(sizes), 1))
    is_packed = any(each.container != "plain" for each in formats)
    ties = {each.ties for each in formats}
    return Inputs(
        len(paths),
        num_bytes,
        num_bytes * (_PACKED_FACTOR if is_packed else 1),
        any(each.shape == "sequences" for each in formats),
        "hash" if "hash" in ties else "item_id",
        tuple(log_files),
    )


def _any_remote(paths: list[str]) -> bool:
    return any(map(is_remote, paths))


def _size(path: str) -> int:
    return RemotePath(path).stat().st_size if is_remote(path) else os.stat(path).st_size


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
