"""Messages for files that no format reads: what was seen, and what to do."""

from __future__ import annotations

import shlex

from beam_jobs.logs.conversions import (
    join_command,
    lists_command,
    sequences_command,
)
from beam_jobs.logs.format_options import FORMATS
from beam_jobs.logs.line_format import BLANKS
from beam_jobs.logs.sample import Sample
from beam_jobs.logs.sequence_checks import doubt_sequences
from beam_jobs.logs.suggestions import (
    best_table,
    clock_beside,
    csv_flags,
    describe_table,
    has_header,
    has_ids,
    holds_lists,
    json_flags,
    time_columns,
)
from beam_jobs.logs.tables import Table

_IF_SEQUENCES = (
    "Where each line is a user and all their items in the order of time, give "
    "`--format sequences`"
)


def no_format(sample: Sample) -> str:
    """Why `auto` takes no format for a file."""
    begin = f"{sample.path} fits none of the formats {', '.join(FORMATS[1:])}"
    return f"{begin}{_of_columns(sample)}. {_seen(sample)}"


def _of_columns(sample: Sample) -> str:
    columns = sample.options.columns
    if columns is None:
        return ""
    named = ",".join(f"{role}={name}" for role, name in columns.items())
    return f" with `--columns {named}`"


def _seen(sample: Sample) -> str:
    if message := no_json_lines(sample):
        return message
    if sample.is_json:
        return _seen_json(sample)
    table = best_table(sample.tables)
    doubt = doubt_sequences(sample.lines)
    first = f"First line: {sample.lines[0][:100]!r}"
    if table is None:
        return (
            f"Its lines have no columns in common. {first}. Not taken for sequences: "
            f"{doubt}. {_IF_SEQUENCES}"
        )
    seen = f"It has {describe_table(table)}. {first}. "
    if table.delimiter in (BLANKS, "\t"):
        seen += f"Not taken for sequences: {doubt}. "
        if _may_be_sequences(sample, table):
            seen += f"{_IF_SEQUENCES}. "
    return seen + advice_for_table(sample, table)


def _may_be_sequences(sample: Sample, table: Table) -> bool:
    """Whether nothing but a lack of evidence speaks against sequences."""
    users = {row[0] for row in table.rows if row}
    is_table = has_header(table) or csv_flags(table) is not None
    return table.width > 2 and not is_table and len(users) == len(table.rows)


def advice_for_table(sample: Sample, table: Table) -> str:
    """The command by which a table can be read."""
    flags = csv_flags(table)
    if flags:
        return f"If those are its user, item and time, give `{flags}`"
    if any(clock_beside(table, position) for position in time_columns(table)):
        return (
            "Blanks divide its columns and its times: join dates and times of the day "
            f"by `{join_command(sample)}`"
        )
    if holds_lists(table):
        return (
            f"Where each line is a user and a list of items, divide them by blanks by "
            f"`{lists_command(sample)}` and give `--format sequences`"
        )
    if table.width < 2 or not has_ids(table):
        return "Name its columns by `--format csv --columns user=...,item=...,time=...`"
    command = sequences_command(sample, table)
    return (
        "None of its columns is a time. Where its lines are in the order of time, make "
        f"sequences of them by `{command}` and give `--format sequences`; where a "
        "column is a time in a form of its own, give `--format csv --columns "
        "user=...,item=...,time=... --time_format ...`"
    )


def _seen_json(sample: Sample) -> str:
    fields = ", ".join(sample.objects[0])
    flags = json_flags(sample.objects)
    unnamed = "`--format json --columns user=...,item=...,time=...` with their names"
    give = f"`{flags}`" if flags else unnamed
    return (
        "JSON needs the fields reviewerID, asin, unixReviewTime, or user_id, "
        f"parent_asin, timestamp; found: {fields[:200]}. Give {give}"
    )


def no_json_lines(sample: Sample) -> str | None:
    """Why a file of JSON has no object a line; None where it has, or is no JSON."""
    first = sample.lines[0].strip()
    path = shlex.quote(sample.path)
    source = f"gunzip -c {path} | jq" if sample.container.kind == "gzip" else "jq"
    argument = "" if sample.container.kind == "gzip" else f" {path}"
    output = shlex.quote(sample.path + ".jsonl")
    if first.startswith("[") and (first == "[" or first[1:].lstrip().startswith("{")):
        return (
            "It is a JSON array; a log has one object a line: convert it by "
            f"`{source} -c '.[]'{argument} > {output}`"
        )
    if first == "{":
        return (
            "Its JSON objects have several lines; a log has one object a line: convert "
            f"it by `{source} -c .{argument} > {output}`"
        )
    if first.startswith(("{'", "{u'")) and not sample.is_json:
        return (
            "Its lines are Python's dicts, with single quotes, and no JSON: convert it "
            "by `python3 -c 'import ast, json, sys; [print(json.dumps("
            f"ast.literal_eval(line))) for line in sys.stdin]' < {path} > {output}`"
        )
    return None


def no_amazon_log(sample: Sample) -> str:
    """Why a file is taken for no ratings of Amazon."""
    return (
        f"{sample.path}: it is not clear which column is the user and which the item "
        "(an ASIN is ten upper-case letters or digits, in one of the first two of four "
        "columns); name them by `--format csv --columns user=0,item=1,time=3`. First "
        f"line: {sample.lines[0][:100]!r}"
    )


def no_movielens_log(sample: Sample) -> str:
    """Why a file is taken for no ratings of MovieLens."""
    table = best_table(sample.tables)
    advice = f". {advice_for_table(sample, table)}" if table else ""
    return (
        f"{sample.path} is no MovieLens log: its lines must be user, item, rating, "
        "time divided by '::' or TAB, or have the header "
        "userId,movieId,rating,timestamp. "
        f"First line: {sample.lines[0][:100]!r}{advice}"
    )
