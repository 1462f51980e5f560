"""The steps of a day: which commands each one runs, on which folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.run_day import lineage, versions
from pipelines.run_day.folders import Base, Day, digest, read_json
from pipelines.run_day.runner import Command, Refused, Runner
from pipelines.run_day.settings import Settings
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.spec import DatasetDir


def settle(base: Base, keep: int) -> None:
    """Writes down that the day in service was pushed, and removes what is old."""
    version = versions.in_service(base)
    if version is not None:
        day, reason = base.day(version.day), f"version {version.number}"
        lineage.write_outcome(day, "pushed", "push", reason)
        versions.prune(base, keep)


@dataclasses.dataclass(frozen=True)
class Steps:
    """Does the steps of one day, each of which finds out what is left of it to do.

    Attributes:
        base: the base folder.
        day: the day.
        settings: the operator's.
        runner: of the day's commands.
    """

    base: Base
    day: Day
    settings: Settings
    runner: Runner

    def in_order(self) -> dict[str, Callable[[], None]]:
        """The steps by their names."""
        return {
            "prepare": self.prepare,
            "validate": self.validate,
            "train": self.train,
            "evaluate": self.evaluate,
            "bless": self.bless,
            "export": self.export,
            "infra_validate": self.infra_validate,
            "push": self.push,
        }

    @property
    def previous(self) -> Day | None:
        """The day that this one goes on from."""
        number = self.day.read_plan()["previous"]
        return None if number is None else self.base.day(number)

    def prepare(self) -> None:
        """The day's logs -> a dataset of them alone, and one of all days."""
        logs = self.day.read_plan()["logs"]
        paths = ("--input", *(log["path"] for log in logs))
        common = (*paths, *self.settings.prepare, "--quiet")
        inputs: dict[str, object] = {"logs": [log["sha256"] for log in logs]}
        module, previous = "beam_jobs.prepare_dataset", self.previous
        if previous is not None:
            alone = (*common, "--k_core", "1", "--output", str(self.day.increment))
            output = self.day.increment
            self._run("increment", module, alone, inputs, output, checks_data=True)
        flags = (*common, *self.settings.split_flags())
        if previous is not None:
            flags += ("--previous", str(previous.dataset))
            inputs["previous"] = DatasetDir(previous.dataset).fingerprint()
            if self.settings.allow_drift:
                flags += ("--allow", "drift")
        flags += ("--output", str(self.day.dataset))
        output = self.day.dataset
        self._run("dataset", module, flags, inputs, output, checks_data=True)

    def validate(self) -> None:
        """Compares the day's own actions with those of the day before.

        Raises:
            Refused: naming every distance above its threshold.
        """
        previous = self.previous
        if previous is None or not previous.increment.is_dir():
            self.runner.report("validate: no day of actions to compare with")
            return
        folders = self.day.increment, previous.increment
        inputs = {"datasets": [DatasetDir(f).fingerprint() for f in folders]}
        # Logs that a failed day left are taken by the next one, which then has more.
        logs, before = (len(day.read_plan()["logs"]) for day in (self.day, previous))
        flags = (*map(str, folders), "--times", f"{logs / before:g}", "--json")
        self._run(
            *("validate", "beam_jobs.drift", flags, inputs, self.day.drift), prints=True
        )
        found = read_json(self.day.drift)["anomalies"]
        if found and not self.settings.allow_drift:
            raise Refused(
                f"the day's actions differ from those of day {previous.number}: "
                f"{'; '.join(found)}. Look at the logs; --allow_drift lets them through"
            )

    def train(self) -> None:
        """The candidate; where no version is in service, a model of popularity too."""
        fingerprint = DatasetDir(self.day.dataset).fingerprint()
        inputs = {"dataset": fingerprint}
        if self.previous is None:
            self._train(self.day.floor, ("--model", "popularity"), inputs)
        flags = self.settings.train
        if start := self._warm_start():
            flags += ("--warm_start", str(start))
            inputs["start"] = digest(RunDir(start).best) or ""
        self._train(self.day.run, flags, inputs)

    def _train(self, run: Path, flags: tuple[str, ...], inputs: dict[str, str]) -> None:
        where = ("--dataset", str(self.day.dataset), "--run_dir", str(run))
        command = ("s4rec_tf.train", (*where, "--quiet", *flags), inputs, run)
        self._run(f"train_{run.name}", *command, resumes=True)

    def _warm_start(self) -> Path | None:
        """The run in service, if it was trained with the same flags."""
        version = versions.in_service(self.base)
        if version is None or self.previous is None:
            return None
        if version.lineage["training"]["flags"] != list(self.settings.train):
            self.runner.report("train: from new weights, since the flags are others")
            return None
        return self.previous.run

    def evaluate(self) -> None:
        """The candidate and what it is compared with, both on the day's dataset."""
        self._evaluate(self.day.run, self.day.run / "evaluation", ())
        if self.previous is None:
            self._evaluate(self.day.floor, self.day.baseline, ())
        else:
            later = ("--later_dataset",)
            self._evaluate(self.previous.run, self.day.baseline, later)

    def _evaluate(self, run: Path, output: Path, flags: tuple[str, ...]) -> None:
        where = ("--dataset", str(self.day.dataset), "--run_dir", str(run))
        inputs = {
            "dataset": DatasetDir(self.day.dataset).fingerprint(),
            "run": digest(RunDir(run).best),
        }
        flags = (*where, "--output", str(output), "--json", *flags)
        name = "evaluate" if run == self.day.run else "evaluate_baseline"
        self._run(name, "s4rec_tf.evaluate", flags, inputs, output)

    def bless(self) -> None:
        """Compares the two evaluations.

        Raises:
            Refused: naming metrics, slices, thresholds and values.
        """
        candidate, settings = self.day.run / "evaluation", self.settings
        flags = ["--dataset", str(self.day.dataset), "--candidate", str(candidate)]
        flags += ["--baseline", str(self.day.baseline)]
        if self.previous is not None:
            flags += ["--increment", str(self.day.increment)]
            flags += ["--previous", str(self.previous.dataset)]
        for name in ("max_drop", "max_slice_drop", "min_users"):
            flags += [f"--{name}", str(getattr(settings, name))]
        flags += ["--output", str(self.day.blessing)]
        inputs = {
            str(folder): digest(folder / "test_ranks.npz")
            for folder in (candidate, self.day.baseline)
        }
        module = "pipelines.run_day.blessing"
        self._run("bless", module, tuple(flags), inputs, self.day.blessing)
        refusals = read_json(self.day.blessing)["refusals"]
        if refusals:
            raise Refused("; ".join(refusals))

    def export(self) -> None:
        """The candidate as a version that no server sees yet."""
        run, candidate = self.day.run, self._candidate
        where = ("--dataset", str(self.day.dataset), "--run_dir", str(run))
        to = ("--export_dir", str(candidate.parent), "--version", candidate.name)
        flags = (*where, *to, *self.settings.export)
        inputs = {
            "run": digest(RunDir(run).best),
            "blessing": digest(self.day.blessing),
        }
        self._run("export", "s4rec_tf.export", flags, inputs, self.day.export)

    @property
    def _candidate(self) -> Path:
        number = versions.next_number(self.base)
        return self.day.export / self.base.name / str(number)

    def infra_validate(self) -> None:
        """A server of the export must answer as the model did."""
        candidate = self._candidate
        flags = ("--version_dir", str(candidate), "--output", str(self.day.infra))
        manifest = candidate.parent / ".meta" / candidate.name / "MANIFEST.json"
        inputs = {"manifest": digest(manifest)}
        module = "pipelines.run_day.infra_validation"
        self._run("infra_validate", module, flags, inputs, self.day.infra)

    def push(self) -> None:
        """The export becomes the version in service; old ones go."""
        made_from = lineage.of_day(self.base, self.day, self.settings)
        versions.push(self.base, self._candidate, made_from)
        settle(self.base, self.settings.keep)

    def _run(
        self,
        name: str,
        module: str,
        flags: tuple[str, ...],
        inputs: Mapping[str, object],
        output: Path,
        **more: bool,
    ) -> None:
        self.runner.run(Command(name, module, flags, inputs, output, **more))
