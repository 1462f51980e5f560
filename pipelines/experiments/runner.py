"""Runs experiments one after the other, each resumable, until done or out of time."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pipelines.experiments import ledger, run_folders
from pipelines.experiments.provenance import code_version, machine
from pipelines.experiments.queue_files import Run
from pipelines.experiments.training_backends import SPLITS, Backend, Step, config_copy
from pipelines.processes import QUIET, bound_child
from s4rec_tf.atomic_files import write_bytes

Outcome = Literal["done", "skipped", "failed", "busy", "out of time"]

PYTHON_MODULE = (sys.executable, "-m")


@dataclasses.dataclass(frozen=True)
class Margins:
    """Time that must be left for something to be started, in seconds.

    Attributes:
        first_epoch: what an epoch is taken to last where no like run says.
        start_up: imports, reading and compiling before an epoch begins.
        epoch_factor: an epoch with its validation, against its training alone.
        ranking: the evaluation of a split.
        poll: between looks at a running command.
    """

    first_epoch: float = 150.0
    start_up: float = 45.0
    epoch_factor: float = 1.5
    ranking: float = 60.0
    poll: float = 1.0


@dataclasses.dataclass(frozen=True)
class Runner:
    """Works through runs and appends those that finish to a ledger.

    Attributes:
        backend: how runs are trained and evaluated.
        data: folder of the datasets.
        work: folder of the run folders.
        ledger: file of finished runs.
        deadline: when all must have ended, seconds of `time.monotonic`.
        command: words that a module's name is appended to.
        margins: time that must be left for something to be started.
    """

    backend: Backend
    data: Path
    work: Path
    ledger: Path
    deadline: float = float("inf")
    command: Sequence[str] = PYTHON_MODULE
    margins: Margins = Margins()

    def run_all(self, runs: Sequence[Run]) -> Counter[Outcome]:
        """Runs what is not in the ledger yet; prints progress on stderr.

        Returns:
            how many runs came to each outcome.

        Raises:
            ValueError: if a dataset or the ledger is not whole, before anything starts.
        """
        names = dict.fromkeys(run.dataset for run in runs)
        paths = {name: self.backend.dataset(self.data, name) for name in names}
        fingerprints = {n: self.backend.fingerprint(path) for n, path in paths.items()}
        ledger.read(self.ledger)
        outcomes: Counter[Outcome] = Counter()
        for number, run in enumerate(runs, start=1):
            job = _Job(self, run, paths[run.dataset], fingerprints[run.dataset])
            outcome = job.work(f"[{number}/{len(runs)}] {run}")
            outcomes[outcome] += 1
        return outcomes

    def seconds_left(self) -> float:
        """Time until the deadline."""
        return self.deadline - time.monotonic()


class _OutOfTime(Exception):
    """The deadline has come, or too little is left to start what is next."""


class _StepFailed(Exception):
    """A command that ended with another exit code than 0."""


class _Job:
    """One run on its way to the ledger."""

    def __init__(
        self, runner: Runner, run: Run, dataset: Path, fingerprint: str
    ) -> None:
        self.runner, self.run, self.dataset = runner, run, dataset
        fields = ("dataset", "model", "config", "settings", "variant", "seed")
        self.identity: dict[str, Any] = {name: getattr(run, name) for name in fields}
        self.identity["data_fingerprint"] = fingerprint
        what = json.dumps([fingerprint, run.resolved], sort_keys=True)
        self.run_dir = runner.work / ledger.file_name(self.identity, what)

    def work(self, title: str) -> Outcome:
        """Does all that is left of the run."""
        known = {ledger.identity(entry) for entry in ledger.read(self.runner.ledger)}
        if ledger.identity(self.identity) in known:
            say(f"{title}: in the ledger")
            self._warn_of_another_config()
            return "skipped"
        if self.runner.seconds_left() <= 0:
            return "out of time"
        with _only_one(self.run_dir) as is_mine:
            if not is_mine:
                say(f"{title}: another process is at it")
                return "busy"
            return self._work_alone(title)

    def _work_alone(self, title: str) -> Outcome:
        say(f"{title}: {self.run_dir}")
        try:
            for step in self.runner.backend.steps(self.run, self.dataset, self.run_dir):
                self._require_time(step)
                self._run_step(step)
            self._finish()
        except _OutOfTime as reason:
            say(f"  {reason}; rerun the command to resume")
            return "out of time"
        except _StepFailed as reason:
            say(f"  {reason}")
            return "failed"
        except FileNotFoundError as error:
            say(f"  the run left no {error.filename}")
            return "failed"
        return "done"

    def _require_time(self, step: Step) -> None:
        margins, left = self.runner.margins, self.runner.seconds_left()
        needed = margins.ranking
        if step.resumes:
            known = run_folders.epoch_seconds(self.run_dir, self.run, self.runner.work)
            epoch = margins.first_epoch if known is None else known
            needed = margins.start_up + margins.epoch_factor * epoch
        if left < needed:
            raise _OutOfTime(
                f"{step.name} is not started: {max(left, 0):.0f} s are left and it "
                f"takes about {needed:.0f} s to get anywhere"
            )

    def _run_step(self, step: Step) -> None:
        log = self.run_dir / "experiment.log"
        version = code_version()
        run_folders.note_start(self.run_dir, self.identity, version)
        if self.run.config_text is not None:
            copy = config_copy(self.run, self.run_dir)
            write_bytes(copy, self.run.config_text.encode())
        command = [*self.runner.command, step.module, *step.arguments]
        env = {**QUIET, **os.environ, "PYTHONUNBUFFERED": "1"}
        env["KERAS_BACKEND"] = self.runner.backend.name
        started = time.monotonic()
        with log.open("ab") as stream, bound_child(command, env, stream) as process:
            epochs = run_folders.EpochLines(self.run_dir)
            while process.poll() is None:
                if self.runner.seconds_left() <= 0:
                    raise _OutOfTime(f"{step.name} is stopped: the time is up")
                time.sleep(
                    max(0, min(self.runner.margins.poll, self.runner.seconds_left()))
                )
                for line in epochs.new():
                    say(f"  {line}")
        if process.returncode:
            raise _StepFailed(
                f"{step.name} failed with exit code {process.returncode}: "
                f"{_reason(log)} (all of it: {log})"
            )
        say(f"  {step.name}: {time.monotonic() - started:.0f} s")

    def _finish(self) -> None:
        evaluation = self.run_dir / "evaluation"
        found = {
            split: json.loads((evaluation / f"{split}.json").read_text("utf-8"))
            for split in SPLITS
        }
        analysis = json.loads((evaluation / "analysis.json").read_text("utf-8"))
        ranks = ledger.ranks_file(self.runner.ledger, self.identity)
        run_folders.copy_ranks(evaluation, ranks, dict(self.run.resolved))
        entry = {
            **self.identity,
            **found,
            "analysis": analysis["findings"],
            **run_folders.training_totals(self.run_dir),
            "machine": machine(self.runner.backend.name),
        }
        ledger.append(self.runner.ledger, entry)
        shown = ", ".join(
            f"{split} HR@20 {found[split]['HR@20']:.4f} "
            f"NDCG@20 {found[split]['NDCG@20']:.4f}"
            for split in SPLITS
        )
        say(f"  in the ledger: {shown}")

    def _warn_of_another_config(self) -> None:
        ranks = ledger.ranks_file(self.runner.ledger, self.identity)
        there = run_folders.config_of_ranks(ranks)
        differing = [
            f"{key} {there[key]!r} there, {value!r} now"
            for key, value in self.run.resolved.items()
            if key in there and there[key] != value
        ]
        if differing:
            say(
                "  the configuration has changed since: "
                + "; ".join(differing)
                + ". To run it again, give it another name"
            )


def say(text: str) -> None:
    """A progress line."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _only_one(run_dir: Path) -> Iterator[bool]:
    """Whether this process alone works on the run, held for the block."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / ".experiment.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _reason(log: Path) -> str:
    """The last line that names an error; what follows it may be a list of arguments."""
    text = log.read_text("utf-8", errors="replace")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return (errors or lines or ["no output"])[-1]
