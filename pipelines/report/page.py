"""A report as blocks, and the two forms they are written in: HTML and Markdown."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d5dae0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: 13px; margin: .6rem 0 1.2rem; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e4e8ec; }
th { background: #f4f6f8; } th:first-child, td:first-child { text-align: left; }
svg { display: block; max-width: 100%; height: auto; margin: .6rem 0; }
"""


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading of level 2 or 3."""

    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of plain text, the first column left-aligned."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawing, and its numbers for where it cannot be shown.

    Attributes:
        svg: one `<svg>` element.
        table: what it draws.
    """

    svg: str
    table: Table


@dataclasses.dataclass(frozen=True)
class Raw:
    """HTML that stands in the page as it is; Markdown goes without it."""

    html: str


Block = Heading | Paragraph | Table | Figure | Raw


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """One page with its style and drawings inside."""
    body = "\n".join(map(_html_block, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The same with a table of its numbers for each drawing."""
    return "\n\n".join([f"# {title}", *map(_markdown_block, blocks)]) + "\n"


def _html_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Figure(svg, table):
            return f"{svg}\n{_html_block(table)}"
        case Raw(text):
            return text
        case Table(header, rows):
            lines = [_html_row("th", header), *(_html_row("td", row) for row in rows)]
            return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Figure(_, table):
            return _markdown_block(table)
        case Raw():
            return ""
        case Table(header, rows):
            rule = [":--", *["--:"] * (len(header) - 1)]
            return "\n".join(map(_markdown_row, [header, rule, *rows]))


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
