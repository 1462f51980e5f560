"""Runs stopped at every point where something becomes visible, and run again."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.run_day import versions
from tests.pipelines.run_day.conftest import World
from tests.pipelines.run_day.fake_stages import Killed
from tests.pipelines.run_day.killed import processes_of, wait_until

ROOT = Path(__file__).parents[3]
_MOST = 200


class Countdown:
    """Raises at the n-th event."""

    def __init__(self, left):
        self.left = left

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            raise Killed


def watched(monkeypatch, countdown):
    """Counts an event before and after every rename."""
    for owner, name in ((os, "replace"), (os, "rename"), (Path, "rename")):
        original = getattr(owner, name)

        def renamed(*arguments, original=original):
            countdown()
            found = original(*arguments)
            countdown()
            return found

        monkeypatch.setattr(owner, name, renamed)


def stopped(world, logs, at):
    """Runs a day that stops at an event; whether it did."""
    with pytest.MonkeyPatch.context() as patch:
        countdown = Countdown(at)
        watched(patch, countdown)
        world.stages.on_event = countdown
        try:
            world.run(*logs, keep=2)
        except Killed:
            return True
        finally:
            world.stages.on_event = lambda: None
    return False


def state(world):
    """Days of the versions, their models, and how every day ended."""
    numbers = versions.numbers(world.base)
    days = [versions.read_lineage(world.base, number)["day"] for number in numbers]
    outcomes = [day.read_outcome()["outcome"] for day in world.base.days()]
    return days, sorted(world.served().values()), outcomes


def test_stopped_anywhere_the_same_command_goes_on(tmp_path):
    expected = World(tmp_path / "whole")
    expected.root.mkdir()
    for last in (1, 2, 3):
        expected.run(*range(1, last + 1), keep=2)
    expected_models = set(expected.served().values())
    for number in range(1, _MOST):
        world = World(tmp_path / str(number))
        world.root.mkdir()
        for last in (1, 2):
            world.run(*range(1, last + 1), keep=2)
        if not stopped(world, (1, 2, 3), number):
            break
        newest = versions.in_service(world.base)
        assert world.served()[str(newest.number)] in expected_models
        world.run(1, 2, 3, keep=2)
        assert state(world) == state(expected), number
        world.run(1, 2, 3, keep=2)
        assert world.stages.calls == []
    assert 60 < number < _MOST - 1


KILLS = 50


@pytest.mark.slow
def test_fifty_kills(tmp_path):
    """SIGKILL at any time of real processes; every start goes on, nothing stays behind.

    The stages are stand-ins in processes of their own: `test_real_days.py` kills the
    real ones.
    """
    world, generator = World(tmp_path), random.Random(5)
    kills, last, seconds = 0, 1, 1.0
    world.log(1)
    while kills < KILLS or last < 4:
        process = start(world, last)
        try:
            assert process.wait(generator.uniform(0.02, seconds)) == 0
            last += 1
            world.log(last)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills, seconds = kills + 1, seconds * 1.05
        for number in versions.numbers(world.base):
            assert versions.has_lineage(world.base, number)
            assert (world.base.served / str(number) / "saved_model.pb").is_file()
    assert start(world, last).wait() == 0
    expected = World(tmp_path / "whole")
    expected.root.mkdir()
    for day in range(1, last + 1):
        expected.run(*range(1, day + 1), keep=2)
    assert state(world) == state(expected)
    wait_until(lambda: processes_of(tmp_path) == [])


def start(world, last):
    logs = [str(world.root / f"log-{number}.csv") for number in range(1, last + 1)]
    module = "tests.pipelines.run_day.fake_day"
    command = [sys.executable, "-m", module, str(world.base.root), *logs]
    with (world.root / "output").open("a") as sink:
        return subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=sink)
