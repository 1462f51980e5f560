"""Part of a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Tone = Literal["", "sound", "warning"]
"""The tone of a paragraph: text, good news, or something to look at."""


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading of level 2 or 3; the list of contents leads to each."""

    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str
    tone: Tone = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of plain text, the first column left-aligned.

    Readers sort it by a column; numbers sort as numbers.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawing, and its numbers for where it cannot be shown.

    Attributes:
        title: shown above it.
        plot: a figure of Plotly: `data` and `layout`.
        table: what it draws; None where a table of the page has it.
    """

    title: str
    plot: Mapping[str, Any]
    table: Table | None = None


Block = Heading | Paragraph | Table | Figure
