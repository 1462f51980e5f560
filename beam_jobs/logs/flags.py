"""The flags that say how log files are read."""

from __future__ import annotations

import argparse

from beam_jobs.logs.format_options import FORMATS, FormatOptions
from beam_jobs.logs.line_format import BLANKS
from beam_jobs.logs.times import TIME_UNITS, InvalidTimeFormat, checked_time_format

QUOTES = ("inline", "multiline", "none")
TIES = ("item_id", "hash")
DELIMITER_NAMES = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "pipe": "|",
    "blank": BLANKS,
}
_REQUIRED_COLUMNS = {"user", "item", "time"}


def add_format_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that `format_options` reads, and `--ties`."""
    add = parser.add_argument
    add(
        "--format",
        choices=FORMATS,
        default="auto",
        help="format of the logs; auto decides per file by its first lines",
    )
    add(
        "--columns",
        type=_columns,
        metavar="user=...,item=...,time=...[,rating=...]",
        help="header names, or positions from 0, for --format csv; fields or Parquet "
        "columns for --format json",
    )
    add(
        "--delimiter",
        type=_delimiter,
        metavar="CHARACTER",
        help="between the columns of --format csv: a character, '::', or one of "
        f"{', '.join(DELIMITER_NAMES)} (default: from the first lines)",
    )
    add(
        "--quotes",
        choices=QUOTES,
        help="quotes around columns: inline fields end on their line, multiline ones "
        "may hold line breaks; none makes quotes ordinary characters "
        "(default: from the first lines)",
    )
    add(
        "--time_unit",
        choices=TIME_UNITS,
        help="unit of times that are numbers (default: seconds or milliseconds, told "
        "by their size); with it, times of 1970 to 1973 are taken as they are",
    )
    add(
        "--time_format",
        type=_time_format,
        metavar="FORM",
        help="form of times: iso8601, rfc2822, or a pattern such as "
        "'%%m/%%d/%%Y %%H:%%M' (default: numbers or ISO 8601)",
    )
    add(
        "--null_ids",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="ids that stand for a missing user or item, such as NA null ''; their "
        "actions are left out and are not bad records",
    )
    add(
        "--ties",
        choices=TIES,
        help="order of a user's actions at one time: by item_id, or by a hash that "
        "tells a model nothing (default: item_id for amazon and movielens, whose "
        "published order it is, hash for the others)",
    )


def format_options(args: argparse.Namespace) -> FormatOptions:
    """Reads the flags."""
    return FormatOptions(
        args.format,
        args.columns,
        args.delimiter,
        args.time_unit,
        args.time_format,
        args.quotes,
        tuple(args.null_ids),
    )


def check_format_flags(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """Ends the command if the flags do not fit together."""
    named = args.format
    if args.columns is not None and named not in ("auto", "csv", "json"):
        parser.error(f"argument --columns: means nothing to --format {named}")
    if args.columns is None and named in ("csv", "json"):
        parser.error(f"argument --columns: --format {named} needs it")
    for flag in ("delimiter", "quotes"):
        if getattr(args, flag) is not None and named in ("json", "sequences"):
            parser.error(f"argument --{flag}: means nothing to --format {named}")
    for flag in ("time_unit", "time_format"):
        if getattr(args, flag) is not None and named == "sequences":
            parser.error(f"argument --{flag}: means nothing to --format {named}")
    if args.time_unit is not None and args.time_format is not None:
        parser.error("argument --time_unit: means nothing with --time_format")


def _columns(text: str) -> dict[str, str]:
    pairs = [pair.partition("=")[::2] for pair in text.split(",")]
    columns = {role.strip(): name.strip() for role, name in pairs}
    allowed = _REQUIRED_COLUMNS | {"rating"}
    if (
        len(columns) != len(pairs)
        or not _REQUIRED_COLUMNS <= set(columns) <= allowed
        or not all(columns.values())
        or len(set(columns.values())) != len(columns)
    ):
        raise argparse.ArgumentTypeError(
            "must be user=...,item=...,time=...[,rating=...] with names of the header "
            f"or positions from 0, each once. Received: {text!r}"
        )
    return columns


def _delimiter(text: str) -> str:
    delimiter = DELIMITER_NAMES.get(text.lower(), "\t" if text == "\\t" else text)
    is_character = (
        len(delimiter) == 1
        and delimiter.isascii()
        and not delimiter.isalnum()
        and delimiter not in "\"'\r\n"
    )
    if not is_character and delimiter != "::":
        raise argparse.ArgumentTypeError(
            f"must be a character such as ',', '::', or one of "
            f"{', '.join(DELIMITER_NAMES)}. Received: {text!r}"
        )
    return delimiter


def _time_format(text: str) -> str:
    try:
        return checked_time_format(text)
    except InvalidTimeFormat as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def delimiter_name(delimiter: str) -> str:
    """A delimiter as it stands on a command line, such as "tab" or "','"."""
    names = {value: name for name, value in DELIMITER_NAMES.items()}
    return names.get(delimiter, f"'{delimiter}'")
