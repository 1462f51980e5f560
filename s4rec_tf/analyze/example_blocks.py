"""The part of a run's page that shows intents and users by the items' names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from s4rec_tf.report_page.blocks import Block, Heading, Paragraph, Table

Counts = dict[str, list[int]]


def intent_blocks(liked: Sequence[Sequence[str]], counts: Counts) -> Iterator[Block]:
    """The items that each intent in use likes, that of the most users first.

    Args:
        liked: names of the best items, by intent; empty without intents.
        counts: `users` and `heads` of every intent.
    """
    if not liked or not counts:
        return
    numbers = sorted(range(len(liked)), key=lambda number: -counts["users"][number])
    rows = [
        [
            str(number),
            f"{counts['users'][number]:,}",
            f"{counts['heads'][number] / counts['users'][number]:.3f}",
            "; ".join(liked[number]),
        ]
        for number in numbers
        if counts["users"][number]
    ]
    yield Heading(2, "What each intent likes")
    yield Paragraph(
        f"{len(rows)} of {len(liked)} prototypes are the nearest of some user. Named "
        "are the items of the best scores for a user of that intent alone."
    )
    yield Table(["intent", "users", "share of head users", "likes best"], rows)


def user_blocks(users: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """Some users with what they are answered."""
    if not users:
        return
    yield Heading(2, "Some users and their answers")
    yield Paragraph("Drawn by the seed, three of the head and three of the tail.")
    for user in users:
        kind = "head" if user["is_head"] else "tail"
        yield Heading(3, f"A {kind} user with {user['length']} items")
        yield Paragraph(f"The last of them: {'; '.join(user['history'])}.")
        yield Paragraph(f"Then came {user['next']}, ranked {user['rank']:,}.")
        rows = [
            [str(rank), item, "yes" if item == user["next"] else ""]
            for rank, item in enumerate(user["answers"], start=1)
        ]
        yield Table(["rank", "answer", "came next"], rows)
