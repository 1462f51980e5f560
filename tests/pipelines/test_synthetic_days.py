"""Logs by day: the same for a seed, with items that come and go, and with bots."""

import csv
import dataclasses
from collections import Counter
from datetime import UTC, date, datetime

import pytest

from pipelines import synthetic_days
from pipelines.synthetic_days import DaysSettings, date_of, write_days

SETTINGS = DaysSettings(days=3, history_days=5, users_a_day=40, items=60, intents=4)


def rows(path):
    with path.open(newline="") as stream:
        return [(r["user"], r["item"], int(r["time"])) for r in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    settings = dataclasses.replace(SETTINGS, turnover=0.1, bot_share=0.5)
    return write_days(tmp_path_factory.mktemp("days"), settings)


def test_equal_seeds_give_equal_bytes(logs, tmp_path):
    flags = "--days 3 --history_days 5 --users_a_day 40 --items 60 --intents 4"
    flags += " --turnover 0.1 --bot_share 0.5"
    assert synthetic_days.main(["--output", str(tmp_path), *flags.split()]) == 0
    again = sorted(tmp_path.iterdir())
    assert [path.name for path in again] == [path.name for path in logs]
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in logs]


def test_each_file_holds_its_days(logs):
    days = [
        {datetime.fromtimestamp(time, UTC).date() for _, _, time in rows(path)}
        for path in logs
    ]
    assert days[0] == {date(2014, 6, day) for day in range(1, 6)}
    assert days[1:] == [{date(2014, 6, day)} for day in (6, 7, 8)]
    assert [date_of(SETTINGS, number) for number in range(4)] == [
        date(2014, 6, day) for day in (5, 6, 7, 8)
    ]


def test_items_come_and_go_and_some_users_stay_short(logs):
    items = [{item for _, item, _ in rows(path)} for path in logs]
    assert items[2] - items[1] - items[0] and items[0] - items[1] - items[2]
    actions = Counter(user for path in logs[:3] for user, _, _ in rows(path))
    lengths = Counter(count >= 5 for count in actions.values())
    assert min(lengths.values()) > 20


def test_bots_are_their_share_of_the_last_day_alone(logs):
    shares = [
        sum(user.startswith("bot-") for user, _, _ in rows(path)) / len(rows(path))
        for path in logs
    ]
    assert shares[:3] == [0, 0, 0] and shares[3] == pytest.approx(0.5, abs=0.05)
