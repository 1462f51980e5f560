"""An input file of the job and how to read it."""

from __future__ import annotations

from typing import NamedTuple

from beam_jobs.logs.parsers import LineFormat


class LogFile(NamedTuple):
    """An input file and how to read it.

    Attributes:
        path: where it lies.
        name: its base name, as it stands in `bad_records/`.
        number: its number in the job, from 0; independent of the order of arguments.
        line_format: the format decided for it.
        split_number: what its actions are for, in the order of `spec.SPLITS`, where the
            logs say so.
    """

    path: str
    name: str
    number: int
    line_format: LineFormat
    split_number: int = 0
