"""Remedies for bad records, by their reason."""

from __future__ import annotations

import shlex

from beam_jobs.logs.line_format import BLANKS, LineFormat

_FORMS_OF_TIMES = (
    "Times are seconds or milliseconds since 1970 or ISO 8601; for others give "
    "`--time_unit us|ns` or a `--time_format` such as '%m/%d/%Y %H:%M' or rfc2822"
)
_REST = (
    "Say what the columns are by `--format` and `--columns`; `--max_bad_share 1` takes "
    "such a file for bad lines only"
)


def remedy(path: str, line_format: LineFormat, reason: str) -> str:
    """Remedy for a file most of whose bad records have a reason.

    Args:
        path: the file.
        line_format: its format.
        reason: one of `BAD_RECORD_REASONS`.
    """
    if reason == "invalid_utf8":
        return convert_to_utf8(path, line_format.container)
    if reason == "bad_time":
        return _of_times(line_format)
    if reason == "empty_id":
        return (
            "Where a user or item is missing, give `--null_ids ''`, which leaves such "
            "lines out"
        )
    if reason == "id_has_whitespace":
        return _without_blanks(path, line_format)
    if reason == "wrong_column_count" and line_format.shape == "delimited":
        return (
            "Where another character divides the columns, give `--delimiter`; where "
            "lines are longer than their header, name the columns by position, such as "
            "`--columns user=0,item=1,time=2`"
        )
    return _REST


def convert_to_utf8(path: str, container: str) -> str:
    """Remedy for a file in another encoding."""
    quoted, output = shlex.quote(path), shlex.quote(path + ".utf8")
    if container == "gzip":
        command = f"gunzip -c {quoted} | iconv -f LATIN1 -t UTF-8 > {output}"
    else:
        command = f"iconv -f LATIN1 -t UTF-8 {quoted} > {output}"
    return (
        "Logs must be UTF-8: convert the file, where it is Latin-1 by "
        f"`{command}` (WINDOWS-1252 for a file of an older Windows)"
    )


def _of_times(line_format: LineFormat) -> str:
    if line_format.shape == "json":
        return "Where times have another unit, give `--time_unit s|ms|us|ns`"
    if line_format.time_format is not None:
        return f"Give the `--time_format` that they have. {_FORMS_OF_TIMES}"
    return _FORMS_OF_TIMES


def _without_blanks(path: str, line_format: LineFormat) -> str:
    rule = "Ids may hold no blanks"
    if line_format.shape != "delimited" or line_format.delimiter == BLANKS:
        return f"{rule}: replace them, or name a column of ids by `--columns`"
    delimiter = {"\t": "'\\t'", "|": "'[|]'"}.get(
        line_format.delimiter, f"'{line_format.delimiter}'"
    )
    divided = "'\\t'" if line_format.delimiter == "\t" else f"'{line_format.delimiter}'"
    source = "gunzip -c" if line_format.container == "gzip" else "cat"
    both = (line_format.user + 1, line_format.item + 1)
    program = "; ".join(f'gsub(/ /, "_", ${column})' for column in both)
    below_header = "NR > 1 " if line_format.has_header else ""
    return (
        f"{rule}: name a column of ids by `--columns`, or replace them by `{source} "
        f"{shlex.quote(path)} | awk -F {delimiter} -v OFS={divided} "
        f"'{below_header}{{{program}}} 1' > {shlex.quote(path + '.ids')}`"
    )
