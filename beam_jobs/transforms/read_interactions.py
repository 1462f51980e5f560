"""Log files -> interactions and bad records."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.typehints import List

from beam_jobs.logs.bad_records import bad_record_entry
from beam_jobs.logs.checks import parse_first_lines
from beam_jobs.logs.files import MAX_LINE_BYTES, InputError, match_files
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.interactions import SECONDS_FROM, BadRecord, Interaction
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.parsers import make_parser
from beam_jobs.logs.reading import Record, read_records
from beam_jobs.logs.selection import Selection
from beam_jobs.storage.identity import FileIdentity, identify
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401
from beam_jobs.transforms.batches import BATCH_SIZE, Batch
from beam_jobs.transforms.counting import COUNTS, CountingDoFn

RANGE_BYTES = 64 << 20
"""Size of the range of a plain file that one worker reads at a time."""

DAY_MS = 86_400_000
_FIRST_PLAUSIBLE_DAY = SECONDS_FROM * 1000 // DAY_MS

ANY_FORMAT = FormatOptions()
ALL = Selection()

MAX_FLOAT_IDS = 1000
FLOAT_IDS = "float_ids"
"""Tag of ids that look like floating-point numbers: see `ReadResult`."""

_TOO_LONG = f"more than {MAX_LINE_BYTES} bytes"
_BAD, _ERRORS, _FILES = "bad_records", "errors", "files"


class BadEntry(NamedTuple):
    """A line that is no interaction.

    Attributes:
        path: the log file.
        start: first byte of the range that was read.
        offset: of the line's first byte in the unpacked file.
        entry: its line in `bad_records/`.
    """

    path: str
    start: int
    offset: int
    entry: str


class LogRange(NamedTuple):
    """A file, or the records of it that begin in a range of its bytes."""

    path: str
    line_format: LineFormat
    start: int
    stop: int | None


class ReadResult(NamedTuple):
    """Outputs of `ReadInteractions`.

    Attributes:
        interactions: the valid and selected `Interaction`s.
        bad_records: a `BadEntry` a bad line.
        counts: `lines`, `bad` and `bad_REASON`, `not_selected`, `interactions`, the
            histogram `days` of valid interactions since 1970 (UTC), and of formats
            whose times are chosen among columns or fields `judged_times` and those
            before 1973-03-03, `early_times`.
        files: a `FileIdentity` a file.
        errors: the message of every file that cannot be read.
        float_ids: ids such as `17850.0`, at most `MAX_FLOAT_IDS` a range.
    """

    interactions: beam.PCollection
    bad_records: beam.PCollection
    counts: beam.PCollection
    files: beam.PCollection
    errors: beam.PCollection
    float_ids: beam.PCollection


@dataclasses.dataclass(eq=False)
class ReadInteractions(beam.PTransform):
    """Reads all files that match any of some patterns, plain ones in ranges.

    The patterns are expanded by a worker, and each file's format is decided from its
    first lines. A gzip or Parquet file, and one with line breaks in quoted fields, is
    one element.

    Args:
        patterns: paths or globs, local or of an object store.
        options: how files are read; `auto` by default.
        selection: which valid interactions count.
        split_number: the split that the logs are for, in the order of `spec.SPLITS`.
        check_first_lines: refuse a file whose first lines are all bad.
        range_bytes: what is read of a plain file at a time.
    """

    patterns: tuple[str, ...]
    options: FormatOptions = ANY_FORMAT
    selection: Selection = ALL
    split_number: int = 0
    check_first_lines: bool = True
    range_bytes: int = RANGE_BYTES

    def __post_init__(self) -> None:
        super().__init__()
        if not self.patterns:
            raise ValueError("`patterns` must name a file or more. Received: none")
        if self.range_bytes < 1:
            raise ValueError(
                f"`range_bytes` must be at least 1. Received: {self.range_bytes}"
            )

    def expand(self, pbegin: Any) -> ReadResult:
        """The pipeline -> `ReadResult`."""
        opened = (
            pbegin.pipeline
            | "Patterns" >> beam.Create([self.patterns])
            | "Match" >> beam.FlatMap(match_files)
            | "SpreadFiles" >> beam.Reshuffle()
            | "DecideFormat"
            >> beam.ParDo(
                _DecideFormat(self.options, self.check_first_lines, self.range_bytes)
            ).with_outputs(_FILES, _ERRORS, COUNTS, main="ranges")
        )
        read = (
            opened["ranges"]
            | "SpreadRanges" >> beam.Reshuffle()
            | "ReadRange"
            >> beam.ParDo(_ReadRange(self.selection, self.split_number))
            .with_output_types(Interaction)
            .with_outputs(_BAD, _ERRORS, FLOAT_IDS, COUNTS, main="interactions")
        )
        errors, counts = (
            (opened[tag], read[tag]) | f"All/{tag}" >> beam.Flatten()
            for tag in (_ERRORS, COUNTS)
        )
        return ReadResult(
            read["interactions"],
            read[_BAD],
            counts,
            opened[_FILES],
            errors,
            read[FLOAT_IDS],
        )


class _DecideFormat(CountingDoFn):
    """Path -> its ranges; its identity; or why it cannot be read."""

    def __init__(
        self, options: FormatOptions, check_first_lines: bool, range_bytes: int
    ) -> None:
        super().__init__()
        self._options = options
        self._check_first_lines = check_first_lines
        self._range_bytes = range_bytes

    def process(self, path: str) -> Iterator[object]:
        try:
            identity = identify(path)
            fit = decide_format(path, self._options)
            if fit is not None and self._check_first_lines:
                parse_first_lines(LogFile(path, path, 0, fit.line_format))
        except (InputError, OSError) as error:
            self.counts["errors"] += 1
            yield beam.pvalue.TaggedOutput(_ERRORS, str(error))
            return
        yield beam.pvalue.TaggedOutput(_FILES, identity)
        if fit is not None:
            yield from ranges_of(path, fit.line_format, identity, self._range_bytes)


def ranges_of(
    path: str, line_format: LineFormat, identity: FileIdentity, range_bytes: int
) -> Iterator[LogRange]:
    """A file's ranges of at most `range_bytes`; one for a file that is not splittable.

    Example: of 5 bytes in ranges of 2, 0 to 2, 2 to 4 and 4 to the end.
    """
    if not line_format.is_splittable or identity.bytes <= range_bytes:
        yield LogRange(path, line_format, 0, None)
        return
    for start in range(0, identity.bytes, range_bytes):
        stop = start + range_bytes
        is_last = stop >= identity.bytes
        yield LogRange(path, line_format, start, None if is_last else stop)


class _ReadRange(CountingDoFn):
    """`LogRange` -> batches of interactions, bad records, or why it cannot be read."""

    def __init__(self, selection: Selection, split_number: int) -> None:
        super().__init__()
        self._selection = selection
        self._split_number = split_number

    def infer_output_type(self, input_type: object) -> type:
        """Of the elements of a batch."""
        return Interaction

    def get_output_batch_type(self, input_element_type: object) -> object:
        """Lists, as the steps that follow take them."""
        return List[Interaction]

    @beam.DoFn.yields_batches
    def process(self, log: LogRange) -> Iterator[object]:
        days: Counter[int] = Counter()
        float_ids: set[str] = set()
        parse = make_parser(log.line_format, self._selection.min_rating is not None)
        batch: Batch = []
        lines = 0
        try:
            for record in read_records(*log):
                lines += 1
                try:
                    if len(record.content) > MAX_LINE_BYTES:
                        raise BadRecord("line_too_long", _TOO_LONG)
                    batch += parse(record.content)
                except BadRecord as bad:
                    yield beam.pvalue.TaggedOutput(_BAD, [self._bad(log, record, bad)])
                    continue
                if len(batch) >= BATCH_SIZE:
                    yield from self._selected(batch, days, float_ids)
                    batch = []
        except InputError as error:
            self.counts["errors"] += 1
            yield beam.pvalue.TaggedOutput(_ERRORS, [str(error)])
        yield from self._selected(batch, days, float_ids)
        if float_ids:
            names = sorted(float_ids)[:MAX_FLOAT_IDS]
            yield beam.pvalue.TaggedOutput(FLOAT_IDS, names)
        self.counts["lines"] += lines
        if log.line_format.shape != "sequences":
            self.counts.update({f"days:{day}": n for day, n in days.items()})
        if log.line_format.shape in ("delimited", "record"):
            early = [n for day, n in days.items() if day < _FIRST_PLAUSIBLE_DAY]
            self.counts["judged_times"] += days.total()
            self.counts["early_times"] += sum(early)

    def _selected(
        self, batch: Batch, days: Counter[int], float_ids: set[str]
    ) -> Iterator[Batch]:
        """Counts a batch; gives its selected interactions, never an empty batch."""
        days.update([interaction.timestamp_ms // DAY_MS for interaction in batch])
        num_valid = len(batch)
        if self._selection != ALL:
            batch = list(filter(self._selection.admits, batch))
        self.counts["interactions"] += len(batch)
        self.counts["not_selected"] += num_valid - len(batch)
        float_ids.update(_float_ids(batch))
        if number := self._split_number:
            batch = [found._replace(split_number=number) for found in batch]
        if batch:
            yield batch

    def _bad(self, log: LogRange, record: Record, bad: BadRecord) -> BadEntry:
        self.counts["bad"] += 1
        self.counts[f"bad_{bad.reason}"] += 1
        entry = bad_record_entry(os.path.basename(log.path), record, bad)
        return BadEntry(log.path, log.start, record.offset, entry)


def _float_ids(batch: Batch) -> list[str]:
    """Ids that look like floating-point numbers. Example: "17850.0"."""
    # Few batches have any, and indexing is the fastest look.
    found = [x for x in batch if x[0][-2:] == ".0" or x[1][-2:] == ".0"]
    ids = [name for user, item, *_ in found for name in (user, item)]
    return [name for name in ids if name.endswith(".0") and name[:-2].isdecimal()]
