"""A log as large as wanted, with the distributions of a smaller one.

The source's reviews are written several times over, each time with user and item ids
of their own: histories stay as long and items as popular as they are. On request a bot
acts a million times, and one item is in every basket.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines.synthetic_log import LogSettings, write_log

DEFAULT_LOG = Path("../shared/data/reviews_Beauty_5.slim.json.gz")
BOT_ACTIONS = 1_000_000
FIELDS = ("reviewerID", "asin", "unixReviewTime")
_COMPRESSION = 3


class Review(NamedTuple):
    """A line of the log."""

    user: str
    item: str
    time: int

    def line(self) -> str:
        """JSON in the form of Amazon's reviews, slimmed."""
        return (
            f'{{"reviewerID": "{self.user}", "asin": "{self.item}", '
            f'"unixReviewTime": {self.time}}}\n'
        )


def source_log(folder: Path) -> Path:
    """Amazon Beauty where it is at hand; else a synthetic log of about its size."""
    if DEFAULT_LOG.is_file():
        return DEFAULT_LOG
    path = folder / "synthetic.json.gz"
    write_log(path, LogSettings(users=22_000, items=12_000, intents=200))
    return path


def read_reviews(path: Path) -> list[Review]:
    """The good lines of a log."""
    reviews = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            try:
                found = json.loads(line)
                review = Review(*(found[name] for name in FIELDS))
            except (ValueError, KeyError, TypeError):
                continue
            if [type(value) for value in review] == [str, str, int]:
                reviews.append(review)
    return reviews


def write_copies(reviews: list[Review], folder: Path, times: int) -> int:
    """Writes `times` gzip files, each a copy with ids of its own; the lines written."""
    for copy in range(times):
        _write(
            folder / f"part-{copy:03d}.json.gz",
            (
                Review(f"{user}{copy:03d}", f"{item}{copy:03d}", time)
                for user, item, time in reviews
            ),
        )
    return times * len(reviews)


def write_hostile(
    reviews: list[Review], folder: Path, times: int, num_bot_actions: int = BOT_ACTIONS
) -> int:
    """`write_copies`, a bot's actions, an item in everybody's first basket; the lines.

    Not in the last one: as the target of every test it would rightly stop the job.
    """
    num_lines = write_copies(reviews, folder, times)
    draw = random.Random(0)
    last = max(review.time for review in reviews)
    _write(
        folder / "bot.json.gz",
        (
            Review("BOT", f"{draw.choice(reviews).item}000", last - n % 10_000_000)
            for n in range(num_bot_actions)
        ),
    )
    starts: dict[str, int] = {}
    for user, _, time in reviews:
        starts[user] = min(time, starts.get(user, time))
    _write(
        folder / "basket.json.gz",
        (
            Review(f"{user}{copy:03d}", "BASKET", time)
            for copy in range(times)
            for user, time in starts.items()
        ),
    )
    return num_lines + num_bot_actions + times * len(starts)


def _write(path: Path, reviews: Iterator[Review]) -> None:
    with gzip.open(path, "wt", _COMPRESSION, encoding="utf-8") as stream:
        stream.writelines(review.line() for review in reviews)
