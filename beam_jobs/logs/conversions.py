"""Commands that convert a file into one that the job reads."""

from __future__ import annotations

import shlex

from beam_jobs.logs.column_names import find_role
from beam_jobs.logs.line_format import BLANKS
from beam_jobs.logs.sample import Sample
from beam_jobs.logs.suggestions import has_header
from beam_jobs.logs.tables import Table


def _source(sample: Sample) -> str:
    unpack = "gunzip -c" if sample.container.kind == "gzip" else "cat"
    return f"{unpack} {shlex.quote(sample.path)} | tr -s '\\r' '\\n' | "


def below_command(sample: Sample, line: int) -> str:
    """The command that takes out the lines before one, blank lines too."""
    output = shlex.quote(sample.path + ".csv")
    return f"{_source(sample)}grep -v '^\\s*$' | tail -n +{line} > {output}"


def join_command(sample: Sample) -> str:
    """The command that joins dates and times of the day that a blank divides."""
    output = shlex.quote(sample.path + ".joined")
    date = "([0-9]{4}-[0-9]{2}-[0-9]{2}) +"
    program = rf"s/{date}([0-9]{{2}}:)/\1T\2/; s/{date}([0-9]:)/\1T0\2/"
    return f"{_source(sample)}sed -E '{program}' > {output}"


def lists_command(sample: Sample) -> str:
    """The command that makes sequences of users and lists of items."""
    output = shlex.quote(sample.path + ".sequences")
    return f"{_source(sample)}tr -d '[]\"' | tr ',;|' ' ' > {output}"


def sequences_command(sample: Sample, table: Table) -> str:
    """The command that makes a log of sequences of pairs in the order of their time."""
    names = table.rows[0] if has_header(table) else []
    user = find_role(names, "user") or 0
    item = find_role(names, "item")
    item = int(user == 0) if item is None else item
    source = _source(sample)
    if names:
        source += "tail -n +2 | "
    if table.quotes == "multiline":
        source += "tr -d '\"' | "
    divided = "" if table.delimiter == BLANKS else f"-F {_awk(table.delimiter)} "
    program = (
        f'{{s[${user + 1}] = s[${user + 1}] " " ${item + 1}}} '
        "END {for (user in s) print user s[user]}"
    )
    output = shlex.quote(sample.path + ".sequences")
    return f"{source}awk {divided}'{program}' > {output}"


def _awk(delimiter: str) -> str:
    return {"\t": "'\\t'", "|": "'[|]'"}.get(delimiter, f"'{delimiter}'")
