"""The two forms of a page: HTML in one file, and Markdown."""

from __future__ import annotations

import html
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from s4rec_tf.report_page.blocks import Block, Figure, Heading, Paragraph, Table
from s4rec_tf.report_page.plotly_script import packed_script

_NUMBER = re.compile(r"[-+\u2212]?[\d.]|-?$")
"""The beginning of a cell that is a number, or stands for none."""


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """One page with its style, its drawings and Plotly inside."""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        f"<style>\n{_own('page.css')}</style>\n</head>\n<body>",
        f"<h1>{html.escape(title)}</h1>",
        *_contents(blocks),
        "<main>",
        *_body(blocks),
        "</main>",
    ]
    if any(isinstance(block, Figure) for block in blocks):
        packed = packed_script()
        parts.append(f'<script type="text/plain" id="plotly">\n{packed}\n</script>')
    parts.append(f"<script>\n{_own('page.js')}</script>\n</body>\n</html>\n")
    return "\n".join(parts)


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The same with a table of its numbers for each drawing."""
    written = map(_markdown_block, blocks)
    return "\n\n".join([f"# {title}", *filter(None, written)]) + "\n"


def _own(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text("utf-8")


def _anchors(blocks: Sequence[Block]) -> Iterator[str]:
    """An id for each heading, each once."""
    taken: set[str] = set()
    for block in blocks:
        if isinstance(block, Heading):
            stem = re.sub(r"[^a-z0-9]+", "-", block.text.lower()).strip("-") or "part"
            name, number = stem, 1
            while name in taken:
                number += 1
                name = f"{stem}-{number}"
            taken.add(name)
            yield name


def _contents(blocks: Sequence[Block]) -> list[str]:
    headings = [block for block in blocks if isinstance(block, Heading)]
    links = [
        f'<li class="level{heading.level}">'
        f'<a href="#{anchor}">{html.escape(heading.text)}</a></li>'
        for heading, anchor in zip(headings, _anchors(blocks), strict=True)
    ]
    if not links:
        return []
    listed = "\n".join(links)
    summary = "<summary>Contents</summary>"
    return [
        f'<nav aria-label="Contents"><details>{summary}\n<ul>\n{listed}\n'
        "</ul></details></nav>"
    ]


def _body(blocks: Sequence[Block]) -> Iterator[str]:
    anchors = _anchors(blocks)
    for block in blocks:
        match block:
            case Heading(level, text):
                yield f'<h{level} id="{next(anchors)}">{html.escape(text)}</h{level}>'
            case Paragraph(text, tone):
                kind = f' class="{tone}"' if tone else ""
                yield f"<p{kind}>{html.escape(text)}</p>"
            case Figure(title, plot, table):
                yield _figure(title, plot, table)
            case Table():
                yield _table(block)


def _figure(title: str, plot: Mapping[str, object], table: Table | None) -> str:
    named = html.escape(title)
    # `</` would end the script that holds the text.
    data = json.dumps(plot, separators=(",", ":")).replace("</", "<\\/")
    return (
        f"<figure>\n<figcaption>{named}</figcaption>\n"
        f'<div class="plot" role="img" aria-label="{named}"></div>'
        f'<script type="application/json">{data}</script>\n'
        f"{_numbers(table) if table else ''}</figure>"
    )


def _numbers(table: Table) -> str:
    return f"<details><summary>The numbers</summary>\n{_table(table)}\n</details>\n"


def _table(table: Table) -> str:
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.header)
    head = "".join(map(_heading_cell, table.header, columns))
    rows = "\n".join(map(_row, table.rows))
    head = f"<thead><tr>{head}</tr></thead>\n" if table.header else ""
    return (
        f'<div class="wide" tabindex="0"><table>\n{head}<tbody>\n{rows}\n</tbody>\n'
        "</table></div>"
    )


def _heading_cell(text: str, column: Sequence[str]) -> str:
    kind = "" if any(map(_NUMBER.match, column)) else ' class="words"'
    button = f'<button type="button">{html.escape(text)}</button>'
    return f'<th scope="col"{kind}>{button}</th>'


def _row(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(map(_cell, cells))}</tr>"


def _cell(text: str) -> str:
    kind = "" if _NUMBER.match(text) else ' class="words"'
    return f"<td{kind}>{html.escape(text)}</td>"


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Figure(table=table):
            return _markdown_block(table) if table else ""
        case Table(header, rows):
            rule = [":--", *["--:"] * (len(header) - 1)]
            return "\n".join(map(_markdown_row, [header, rule, *rows]))


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
