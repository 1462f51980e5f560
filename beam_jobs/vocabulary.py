"""The item vocabulary: ids from 1, which never move; new items most frequent first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from beam_jobs.storage.files import new_file


def order_items(counts: Mapping[bytes, int]) -> list[bytes]:
    """Raw ids by (-count, id as bytes); element n is item n + 1.

    Example: {b"x": 2, b"b": 1, b"a": 1} -> [b"x", b"a", b"b"].
    """
    return sorted(counts, key=lambda item: (-counts[item], item))


def write_vocabulary(
    vocab_path: Path,
    counts_path: Path,
    counts: Mapping[bytes, int],
    pinned: Sequence[bytes] = (),
) -> int:
    """Writes line n of both files: the raw id of item n and its number of actions.

    Args:
        vocab_path: file of raw ids.
        counts_path: file of numbers of actions.
        counts: actions of every item that has any.
        pinned: items whose ids are given: element n is item n + 1. One without actions
            keeps its line, with 0 beside it: it is retired, and never recommended.

    Returns:
        the number of items.
    """
    known = set(pinned)
    new = {item: count for item, count in counts.items() if item not in known}
    items = [*pinned, *order_items(new)]
    with new_file(vocab_path) as stream:
        stream.writelines(item + b"\n" for item in items)
    with new_file(counts_path) as stream:
        stream.writelines(b"%d\n" % counts.get(item, 0) for item in items)
    return len(items)


def read_item_ids(vocab_path: Path) -> dict[bytes, int]:
    """From raw id to item id."""
    lines = vocab_path.read_bytes().split(b"\n")[:-1]
    return {item: number for number, item in enumerate(lines, start=1)}
