"""Runs the days, and the rebuild that each is compared with."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.run_day import driver, versions
from pipelines.run_day.folders import Base, Day, read_json
from pipelines.run_day.runner import Command, Commands, Runner
from pipelines.run_day.settings import Settings
from s4rec_tf.spec import DatasetDir

PREPARE = ("--format", "csv", "--columns", "user=user,item=item,time=time")
MIN_USERS = 20
Row = dict[str, Any]
"""The measurements of a day."""


@dataclasses.dataclass(frozen=True)
class Simulation:
    """Days on synthetic logs.

    Attributes:
        base: of `pipelines.run_day`, locked.
        train: flags of every training.
        commands: runs a module.
    """

    base: Base
    train: tuple[str, ...]
    commands: Commands

    def run(self, logs: Sequence[Path]) -> list[Row]:
        """Runs every day that is not yet measured; the rows of all.

        Args:
            logs: one file a day, oldest first.

        Raises:
            ValueError: if a rebuild fails; a refused day is a row.
        """
        file = self.base.root.parent / "days.jsonl"
        done = file.read_text("utf-8").splitlines() if file.is_file() else []
        rows: list[Row] = [json.loads(line) for line in done]
        for number in range(len(rows), len(logs)):
            rows.append(self._day(logs[: number + 1]))
            _report(json.dumps(rows[-1]))
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(rows[-1]) + "\n")
        return rows

    def _day(self, logs: Sequence[Path]) -> Row:
        start, text, refusal = time.monotonic(), "", ""
        settings = Settings(
            prepare=PREPARE, train=self.train, min_users=MIN_USERS, keep=2
        )
        try:
            found = driver.run(self.base, settings, logs, False, self.commands, _report)
            text = found["text"]
        except ValueError as error:
            refusal = str(error)
        seconds: float | None = time.monotonic() - start
        if text.startswith("up to date"):
            seconds = None  # this command was interrupted after the day was run
        row = {"day": len(logs) - 1, "refusal": refusal, "seconds": seconds}
        day = self.base.days()[-1]
        if refusal or len(logs) == 1:
            return row
        return row | self._compared(day) | self._sizes(day)

    def _sizes(self, day: Day) -> Row:
        version, info = versions.in_service(self.base), DatasetDir(day.dataset).info()
        return {
            "version": None if version is None else version.number,
            "users": info.num_users,
            "items": info.num_items,
            "bytes": sum(
                path.stat().st_size
                for path in self.base.root.rglob("*")
                if path.is_file()
            ),
        }

    def _compared(self, day: Day) -> Row:
        """NDCG@20 of the version before, of the day's model and of the rebuild's."""
        daily = _whole(read_json(day.blessing))
        start = time.monotonic()
        found = _whole(self._rebuilt(day))
        return {
            "judged_users": found["users"],
            "before": daily["baseline"],
            "daily": found["baseline"],
            "rebuild": found["candidate"],
            "interval": found["interval"],
            "rebuild_seconds": time.monotonic() - start,
        }

    def _rebuilt(self, day: Day) -> Any:
        """A dataset and a model of all logs in service, measured on the day's users."""
        root = self.base.root.parent / "rebuild"
        shutil.rmtree(root, ignore_errors=True)
        run = Runner(root, self.commands, lambda _: None).run
        logs = [log["path"] for d in _chain(self.base, day) for log in d["logs"]]
        dataset, model, found = root / "dataset", root / "run", root / "compared.json"
        source = ("--input", *logs, *PREPARE, "--quiet", "--output", str(dataset))
        where = ("--dataset", str(dataset), "--run_dir", str(model))
        output = ("--output", str(model / "evaluation"), "--json")
        candidate = ("--candidate", str(model / "evaluation"))
        baseline = ("--baseline", str(day.run / "evaluation"))
        data = ("--dataset", str(day.dataset), "--increment", str(day.increment))
        written = ("--min_users", str(MIN_USERS), "--output", str(found))
        run(Command("dataset", "beam_jobs.prepare_dataset", source, {}, dataset))
        train = (*where, "--quiet", *self.train)
        run(Command("train", "s4rec_tf.train", train, {}, model))
        evaluated = model / "evaluation"
        run(Command("evaluate", "s4rec_tf.evaluate", (*where, *output), {}, evaluated))
        compare = (*data, *candidate, *baseline, *written)
        run(Command("compare", "pipelines.run_day.blessing", compare, {}, found))
        content = read_json(found)
        shutil.rmtree(root)
        return content


def _chain(base: Base, day: Day) -> list[Any]:
    """Plans of a day and of those that it goes on from, oldest first."""
    plans = [day.read_plan()]
    while (number := plans[0]["previous"]) is not None:
        plans.insert(0, base.day(number).read_plan())
    return plans


def _whole(found: Any) -> Any:
    """The comparison of all users by NDCG@20."""
    return next(
        c
        for c in found["comparisons"]
        if (c["slice"], c["metric"]) == ("all", "NDCG@20")
    )


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
