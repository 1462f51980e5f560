"""Which format a log file has, decided from its first lines.

`auto` weighs every format and takes the only one that fits; the other values of
`--format` say the family, and the first lines only choose the member (JSON or CSV, the
order of the columns, the delimiter).
"""

from __future__ import annotations

from beam_jobs.logs.column_times import check_column_of_times
from beam_jobs.logs.delimited_formats import (
    fits_amazon_csv,
    fits_movielens,
    fits_recbole,
)
from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.json_formats import (
    AMAZON_JSON,
    amazon_json,
    fits_amazon_json,
    fits_named_json,
    named_json,
)
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.named_columns import fits_named_csv, named_csv
from beam_jobs.logs.refusals import (
    advice_for_table,
    no_amazon_log,
    no_format,
    no_movielens_log,
)
from beam_jobs.logs.sample import Fit, Sample, read_sample
from beam_jobs.logs.sequence_checks import doubt_sequences, header_words
from beam_jobs.logs.suggestions import best_table, holds_lists

__all__ = ["AMAZON_JSON", "SEQUENCES", "Fit", "decide_format"]

SEQUENCES = LineFormat("sequences", "sequences")


def decide_format(path: str, options: FormatOptions) -> Fit | None:
    """The format of a file and the reason for it; None for a file without lines.

    Args:
        path: the log file.
        options: the format, as far as flags give it.

    Raises:
        InputError: if the file is no log, no format fits, two do, or its times cannot
            be times.
    """
    sample = read_sample(path, options)
    if not sample.lines:
        return None
    line_format, reason = _DECIDE[options.format](sample)
    line_format = line_format._replace(
        container=sample.container.kind,
        line_end=sample.container.line_end,
        null_ids=options.null_ids,
    )
    check_column_of_times(sample, line_format)
    if line_format.is_multiline:
        reason += ", with quotes that may hold line breaks: read by one worker"
    return Fit(line_format, reason)


def _auto(sample: Sample) -> Fit:
    fits = fits_amazon_json(sample) + fits_amazon_csv(sample) + fits_movielens(sample)
    if sample.options.columns:
        fits += fits_named_csv(sample) + fits_named_json(sample)
    else:
        fits += fits_recbole(sample)
    if not fits and sample.options.delimiter is None:
        doubt = doubt_sequences(sample.lines)
        if doubt is None:
            fits.append(Fit(SEQUENCES, "a user and items divided by blanks"))
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = " and ".join(f"{fit[0].name} ({fit[1]})" for fit in fits)
        raise InputError(
            f"{sample.path} fits more than one format: {names}; say which by `--format`"
        )
    raise InputError(no_format(sample))


def _amazon(sample: Sample) -> Fit:
    if sample.lines[0].lstrip().startswith("{") or sample.is_json:
        return amazon_json(sample)
    fits = fits_amazon_csv(sample)
    if len(fits) == 1:
        return fits[0]
    raise InputError(no_amazon_log(sample))


def _movielens(sample: Sample) -> Fit:
    fits = fits_movielens(sample)
    if len(fits) == 1:
        return fits[0]
    raise InputError(no_movielens_log(sample))


def _sequences(sample: Sample) -> Fit:
    first = sample.lines[0].split()
    words = header_words(first)
    if first[:1] == words[:1]:
        raise InputError(
            f"{sample.path}: the first line has words of a header, {' '.join(words)}. "
            "Each line of `sequences` is a user and items: take a header out by `tail "
            "-n +2`, or read columns by `--format csv --columns ...`"
        )
    table = best_table(sample.tables)
    if table is not None and holds_lists(table):
        raise InputError(f"{sample.path}: {advice_for_table(sample, table)}")
    return Fit(SEQUENCES, "a user and items divided by blanks")


_DECIDE = {
    "auto": _auto,
    "amazon": _amazon,
    "movielens": _movielens,
    "csv": named_csv,
    "json": named_json,
    "sequences": _sequences,
}
