"""A synthetic review log with planted intents and a long tail of short histories.

What is planted, and what a model can find in it:

* Items fall into groups, the intents. Inside one, items have a popularity of their own
  (Zipf) and a few usual successors each, so the next item depends on the last one.
* A user follows one or two intents; with two, he stays with one for a while.
* Most histories are short: lengths start at 5 and fall off like a power law. A share of
  users has fewer than 5 actions, which the 5-core drops.
* The file is Amazon's JSON lines of 2014, gzip, with exact duplicates and a few broken
  lines below the share that the data job tolerates (0.1 %).

The planted truth is written beside the log, `<log>.intents.tsv`: item<TAB>intent.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from s4rec_tf.atomic_files import write_bytes

FIRST_DAY = 1_262_304_000  # 2010-01-01, in seconds
DAY = 86_400
LETTERS = np.array(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
BROKEN_SHARE = 0.0005
DUPLICATE_SHARE = 0.005
FLAGS = {
    "users": "users with at least five actions",
    "items": "items of all intents together",
    "intents": "groups of items",
    "max_length": "longest history, at most items / intents",
    "tail_exponent": "of the power law of lengths; smaller is longer",
    "successor_rate": "how often the next item follows from the last one",
    "seed": "equal seeds give equal bytes",
}
"""Settings that the command line offers, and what they mean."""


@dataclasses.dataclass(frozen=True)
class LogSettings:
    """Settings of a synthetic log; equal settings give equal bytes.

    Attributes:
        users: users with at least `min_length` actions.
        items: items of all intents together.
        intents: groups of items.
        seed: of the only random generator.
        min_length: shortest history of these users.
        max_length: longest history.
        tail_exponent: of the power law of lengths; smaller is longer.
        visitor_share: further users with fewer than `min_length` actions, as a share of
            `users`.
        successor_rate: how often the next item is a usual successor of the last one.
        stay_rate: how often a user with two intents stays with the present one.
    """

    users: int = 3000
    items: int = 1200
    intents: int = 24
    seed: int = 7
    min_length: int = 5
    max_length: int = 50
    tail_exponent: float = 2.0
    visitor_share: float = 0.1
    successor_rate: float = 0.6
    stay_rate: float = 0.8

    def __post_init__(self) -> None:
        """Refuses settings from which no log can be made."""
        if min(self.users, self.items, self.intents) < 1:
            raise ValueError(
                "`users`, `items` and `intents` must be at least 1. "
                f"Received: {self.users}, {self.items}, {self.intents}"
            )
        if self.max_length > self.items // self.intents:
            raise ValueError(
                "`max_length` must be at most the items of one intent, "
                f"{self.items // self.intents}, since nobody reviews an item twice. "
                f"Received: {self.max_length}"
            )


@dataclasses.dataclass(frozen=True)
class Action:
    """One review: raw ids and a time in seconds."""

    user: str
    item: str
    time: int


class SyntheticLog:
    """Draws the histories.

    Attributes:
        item_ids: raw id of every item, [N].
        intent_of: intent of every item, [N].
    """

    def __init__(self, settings: LogSettings) -> None:
        self.settings = settings
        self._rng = np.random.default_rng(settings.seed)
        self.item_ids = self._raw_ids("B", settings.items)
        self.intent_of = np.arange(settings.items) % settings.intents
        self._members = [
            self._rng.permutation(np.flatnonzero(self.intent_of == intent))
            for intent in range(settings.intents)
        ]

    def _raw_ids(self, prefix: str, count: int) -> list[str]:
        """`count` different ids that look like Amazon's."""
        ids: set[str] = set()
        while len(ids) < count:
            ids.add(prefix + "".join(self._rng.choice(LETTERS, size=9)))
        return [str(raw) for raw in self._rng.permutation(sorted(ids))]

    def _lengths(self) -> list[int]:
        """Length of every history, the visitors' last."""
        s = self.settings
        tail = self._rng.pareto(s.tail_exponent, size=s.users)
        full = np.minimum(s.min_length * (1 + tail), s.max_length).astype(int)
        visitors = self._rng.integers(
            1, s.min_length, size=round(s.users * s.visitor_share)
        )
        return [int(length) for length in (*full, *visitors)]

    def _next_item(self, intent: int, last: int | None, seen: set[int]) -> int:
        """A usual successor of `last`, or else by popularity; never a seen item."""
        members = self._members[intent]
        if last is not None and self._rng.random() < self.settings.successor_rate:
            place = int(np.flatnonzero(members == last)[0])
            step = 1 + int(self._rng.choice(3, p=[0.6, 0.3, 0.1]))
            successor = int(members[(place + step) % len(members)])
            if successor not in seen:
                return successor
        popularity = 1.0 / np.arange(1, len(members) + 1)
        popularity[[int(item) in seen for item in members]] = 0.0
        return int(self._rng.choice(members, p=popularity / popularity.sum()))

    def _items(self, length: int) -> list[int]:
        """One user's items, oldest first."""
        s = self.settings
        own = self._rng.choice(
            s.intents, size=min(1 + self._rng.integers(2), s.intents), replace=False
        )
        items: list[int] = []
        last_of: dict[int, int] = {}
        intent = int(own[0])
        for _ in range(length):
            if len(own) == 2 and self._rng.random() >= s.stay_rate:
                intent = int(own[1] if intent == own[0] else own[0])
            item = self._next_item(intent, last_of.get(intent), set(items))
            last_of[intent] = item
            items.append(item)
        return items

    def histories(self) -> Iterator[list[Action]]:
        """One list of actions a user, oldest first."""
        lengths = self._lengths()
        users = self._raw_ids("A", len(lengths))
        for user, length in zip(users, lengths, strict=True):
            time = FIRST_DAY + int(self._rng.integers(3 * 365)) * DAY
            actions = []
            for item in self._items(length):
                time += int(self._rng.integers(1, 30)) * DAY
                actions.append(Action(user, self.item_ids[item], time))
            yield actions

    def lines(self) -> list[str]:
        """The log's lines: ordered by item as Amazon's, duplicates and broken ones in.

        There is a broken line only where 0.05 % of the log comes to one.
        """
        actions = [action for history in self.histories() for action in history]
        actions.sort(key=lambda action: (action.item, action.time, action.user))
        lines = [self._line(action) for action in actions]
        count = len(lines)
        twice = self._rng.choice(count, size=int(count * DUPLICATE_SHARE))
        lines += [lines[int(place)] for place in twice]
        broken = self._rng.choice(count, size=int(count * BROKEN_SHARE))
        for number, place in enumerate(broken):
            at = int(self._rng.integers(len(lines) + 1))
            lines.insert(at, _break(lines[int(place)], number))
        return lines

    def _line(self, action: Action) -> str:
        """A review as Amazon's files of 2014 write it."""
        return json.dumps(
            {
                "reviewerID": action.user,
                "asin": action.item,
                "reviewerName": "",
                "helpful": [0, 0],
                "reviewText": "",
                "overall": float(self._rng.integers(3, 6)),
                "summary": "",
                "unixReviewTime": action.time,
            }
        )


def _break(line: str, number: int) -> str:
    """A line that cannot be used, in one of four ways by turns."""
    record = json.loads(line)
    way = number % 4
    if way == 0:
        return line[: len(line) // 2]
    if way == 1:
        del record["asin"]
    elif way == 2:
        record["unixReviewTime"] = "yesterday"
    else:
        record["reviewerID"] = ""
    return json.dumps(record)


def write_log(path: Path, settings: LogSettings) -> None:
    """Writes the log and, beside it, the planted truth; each whole or not at all."""
    log = SyntheticLog(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(log.lines()) + "\n"
    # No file name and no time in the header: equal settings give equal bytes.
    write_bytes(path, gzip.compress(text.encode(), mtime=0))
    truth = "".join(
        f"{item}\t{intent}\n"
        for item, intent in zip(log.item_ids, log.intent_of, strict=True)
    )
    write_bytes(truth_path(path), truth.encode())


def truth_path(log: Path) -> Path:
    """The file of a log's planted intents."""
    return log.with_name(log.name + ".intents.tsv")


def main(argv: list[str] | None = None) -> None:
    """Writes a synthetic log from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.synthetic_log",
        description="Write a synthetic review log with planted intents.",
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=Path, required=True, help="*.json.gz to write")
    for name, meaning in FLAGS.items():
        default = getattr(LogSettings, name)
        kind = type(default)
        parser.add_argument(
            f"--{name}", type=kind, default=default, help=f"{meaning} ({default})"
        )
    args = vars(parser.parse_args(argv))
    output = args.pop("output")
    try:
        settings = LogSettings(**args)
    except ValueError as error:
        parser.error(str(error))
    write_log(output, settings)
    print(f"{output}: {settings.users} users of {settings.intents} planted intents")


if __name__ == "__main__":
    main()
