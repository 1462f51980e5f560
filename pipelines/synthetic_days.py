"""Synthetic logs day by day, whose items come and go and whose users' taste drifts.

* Items belong to intents. Inside one, every item has a usual successor. On every day a
  few items appear and a few vanish for good.
* Users appear from day to day, each with two intents. Half of them stay below five
  actions. Which intents are popular turns around slowly.
* The first file holds a history of several weeks; each further file, one day.
* Bots, if asked for, click on the same few items in a random order, on the last day.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from s4rec_tf.atomic_files import write_bytes
from s4rec_tf.exit_codes import ExitCode

FIRST_DATE = date(2014, 6, 1)
_SECONDS = 86_400
_BOT_ITEMS = 20
_ACTIONS_OF_A_BOT = 8


@dataclasses.dataclass(frozen=True)
class DaysSettings:
    """Settings of the logs; equal settings give equal bytes.

    Attributes:
        days: files after the first.
        history_days: days in the first file.
        users_a_day: users who appear on a day.
        items: items that exist on a day.
        intents: groups of items.
        turnover: share of items that is replaced by new ones on a day.
        successor_rate: how often the next item is the last one's successor.
        bot_share: share of the last day's actions that bots add.
        seed: of the only random generator.
    """

    days: int = 30
    history_days: int = 30
    users_a_day: int = 60
    items: int = 400
    intents: int = 16
    turnover: float = 0.005
    successor_rate: float = 0.5
    bot_share: float = 0.0
    seed: int = 7


@dataclasses.dataclass
class _User:
    name: str
    intents: np.ndarray
    actions_left: int
    last: int | None = None


class SyntheticDays:
    """Draws the days, one after the other."""

    def __init__(self, settings: DaysSettings) -> None:
        self.settings = settings
        self._rng = np.random.default_rng(settings.seed)
        self._names = [f"item-{number:05d}" for number in range(settings.items)]
        self._next_item = settings.items
        self._users: list[_User] = []
        self._num_users = 0

    def lines(self, day: int) -> list[str]:
        """The log of the next day: user, item and time, divided by commas.

        Args:
            day: counted from 0; days must be asked for in their order.
        """
        self._replace_items()
        self._add_users()
        actions = [
            action for user in self._users for action in self._actions(user, day)
        ]
        self._users = [user for user in self._users if user.actions_left > 0]
        midnight = _midnight(day)
        return [f"{user},{item},{midnight + time}" for user, item, time in actions]

    def bot_lines(self, day: int, count: int) -> list[str]:
        """Actions of bots on a day, `count` or a few more."""
        targets = self._rng.choice(len(self._names), _BOT_ITEMS, replace=False)
        bots = -(-count // _ACTIONS_OF_A_BOT)
        lines = []
        for bot in range(bots):
            chosen = self._rng.choice(targets, _ACTIONS_OF_A_BOT, replace=False)
            times = np.sort(self._rng.integers(_SECONDS, size=_ACTIONS_OF_A_BOT))
            lines += [
                f"bot-{day}-{bot},{self._names[item]},{_midnight(day) + time}"
                for item, time in zip(chosen, times, strict=True)
            ]
        return lines

    def _replace_items(self) -> None:
        gone = self._rng.random(len(self._names)) < self.settings.turnover
        for place in np.flatnonzero(gone):
            self._names[place] = f"item-{self._next_item:05d}"
            self._next_item += 1

    def _add_users(self) -> None:
        for _ in range(self.settings.users_a_day):
            intents = self._rng.choice(self.settings.intents, 2, replace=False)
            is_visitor = self._rng.random() < 0.5
            length = 1 + int(self._rng.integers(4))
            if not is_visitor:
                length = 5 + min(40, int(5 * self._rng.pareto(2.0)))
            self._users.append(_User(f"user-{self._num_users:06d}", intents, length))
            self._num_users += 1

    def _actions(self, user: _User, day: int) -> Iterator[tuple[str, str, int]]:
        if self._rng.random() < 0.5:
            return
        count = min(user.actions_left, 1 + int(self._rng.integers(3)))
        user.actions_left -= count
        for time in np.sort(self._rng.integers(_SECONDS, size=count)):
            user.last = self._item(user, day)
            yield user.name, self._names[user.last], int(time)

    def _item(self, user: _User, day: int) -> int:
        """A place among the items: an intent's are those that leave its remainder."""
        groups, size = self.settings.intents, self.settings.items
        if user.last is not None and self._rng.random() < self.settings.successor_rate:
            return (user.last + groups) % (size - size % groups)
        # The two intents' weights go up and down against each other, in 60 days.
        phase = 2 * np.pi * (day / 60 + user.intents[0] / groups)
        first = self._rng.random() < 0.5 + 0.4 * np.sin(phase)
        intent = user.intents[0] if first else user.intents[1]
        places = np.arange(intent, size, groups)
        weights = 1 / np.arange(1, len(places) + 1)
        return int(self._rng.choice(places, p=weights / weights.sum()))


def _midnight(day: int) -> int:
    days = (FIRST_DATE - date(1970, 1, 1)).days + day
    return days * _SECONDS


def date_of(settings: DaysSettings, number: int) -> date:
    """The date of the file with a number; that of the first file's last day for 0."""
    return FIRST_DATE + timedelta(days=settings.history_days - 1 + number)


def write_days(folder: Path, settings: DaysSettings) -> list[Path]:
    """Writes the files, oldest first; their names are `day-NUMBER.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    log, paths = SyntheticDays(settings), []
    for number in range(settings.days + 1):
        last = settings.history_days - 1 + number
        first = 0 if number == 0 else last
        lines = [line for day in range(first, last + 1) for line in log.lines(day)]
        if number == settings.days and settings.bot_share:
            bots = settings.bot_share / (1 - settings.bot_share) * len(lines)
            lines += log.bot_lines(last, round(bots))
        paths.append(folder / f"day-{number:03d}.csv")
        text = "\n".join(["user,item,time", *lines]) + "\n"
        write_bytes(paths[-1], text.encode())
    return paths


def main(argv: list[str] | None = None) -> int:
    """Writes the logs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.synthetic_days",
        description="Writes synthetic logs, a history and a file for every day.",
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    for field in dataclasses.fields(DaysSettings):
        kind = type(field.default)
        parser.add_argument(f"--{field.name}", type=kind, default=field.default)
    given = vars(parser.parse_args(argv))
    output = given.pop("output")
    for path in write_days(output, DaysSettings(**given)):
        print(path)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
