"""Titles of items, for pages that people read."""

from __future__ import annotations

from pathlib import Path


def read_titles(path: Path) -> dict[str, str]:
    """Titles by raw item id.

    Args:
        path: UTF-8 text, a raw id, a tab and a title a line.

    Raises:
        ValueError: naming a line without a tab.
        OSError: if there is no such file.
    """
    titles = {}
    for number, line in enumerate(
        path.read_text("utf-8").rstrip("\n").split("\n"), start=1
    ):
        raw_id, tab, title = line.partition("\t")
        if not tab:
            raise ValueError(
                f"{path}, line {number}, must hold an item id, a tab and a title. "
                f"Received: {line!r}"
            )
        titles[raw_id] = title
    return titles
