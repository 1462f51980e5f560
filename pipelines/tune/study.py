"""A search that several processes share: its storage, and who works on which trial."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from s4rec_tf.search_ranges import Choices, SearchRange

_SUBJECT = "subject"
_FOLDER = "folder"


class StudyError(ValueError):
    """A folder that holds another search."""


def distribution_of(declared: SearchRange) -> BaseDistribution:
    """The distribution that Optuna draws a declared range by."""
    if isinstance(declared, Choices):
        return CategoricalDistribution(declared.values)
    low, high = declared.low, declared.high
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=declared.log)
    return FloatDistribution(low, high, log=declared.log)


@dataclasses.dataclass(frozen=True)
class Study:
    """A search in a folder; any number of processes may work on it at a time.

    Optuna's journal keeps the trials, a lock on its folder marks a trial as taken: it
    goes with the process that holds it, kill -9 included.

    Attributes:
        root: the folder.
        ranges: of the settings that are searched.
        seed: trial n is drawn by `seed` + n.
    """

    root: Path
    ranges: Mapping[str, SearchRange]
    seed: int

    def open(
        self, subject: Mapping[str, Any], first: Mapping[str, Any] | None = None
    ) -> None:
        """Creates the search, or checks that the folder holds it.

        Args:
            subject: what is searched for, JSON-safe.
            first: settings of the first trial; None leaves that to the sampler.

        Raises:
            StudyError: naming what differs.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with self.alone():
            study = self.load()
            if _SUBJECT not in study.user_attrs:
                if first is not None:
                    study.enqueue_trial(dict(first))
                study.set_user_attr(_SUBJECT, dict(subject))
            self._check_subject(study.user_attrs[_SUBJECT], subject)

    def _check_subject(
        self, there: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> None:
        differences = [
            f"{key}: {there.get(key)!r} there, {asked.get(key)!r} asked for"
            for key in sorted({*there, *asked})
            if there.get(key) != asked.get(key)
        ]
        if differences:
            raise StudyError(
                f"{self.root} holds another search: {'; '.join(differences)}"
            )

    def load(self) -> optuna.Study:
        """Optuna's study, maximising, TPE as the sampler, pruned below the median."""
        storage = JournalStorage(JournalFileBackend(str(self.root / "journal.log")))
        study = optuna.create_study(
            storage=storage,
            study_name="search",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        )
        # A sampler that began with one seed in each process would draw one trial twice.
        seed = self.seed + len(study.trials)
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        return study

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from choosing trials."""
        with (self.root / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def next_trial(self, most: int) -> Iterator[tuple[Trial, Path] | None]:
        """The next trial and its folder, locked for the block; None if all have begun.

        A trial that the block leaves unfinished by an exception is offered again, and
        so is one whose process has died: its training resumes in the same folder.

        Args:
            most: trials of the search.
        """
        with contextlib.ExitStack() as stack:
            with self.alone():
                study = self.load()
                self._offer_abandoned(study)
                if len(begun_trials(study)) >= most:
                    yield None
                    return
                trial, folder = self._ask(study)
                stack.enter_context(_locked(folder))
            try:
                yield trial, folder
            except BaseException:
                with self.alone():
                    left = study.trials[trial.number]
                    if left.state == TrialState.RUNNING:
                        _offer_again(study, left)
                raise

    def _ask(self, study: optuna.Study) -> tuple[Trial, Path]:
        distributions = {k: distribution_of(r) for k, r in self.ranges.items()}
        trial = study.ask(distributions)
        name = trial.user_attrs.get(_FOLDER, f"trial_{trial.number:04d}")
        trial.set_user_attr(_FOLDER, name)
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return trial, folder

    def _offer_abandoned(self, study: optuna.Study) -> None:
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            folder = self.root / trial.user_attrs.get(_FOLDER, "")
            with contextlib.suppress(BlockingIOError), _locked(folder):
                _offer_again(study, trial)


def begun_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have begun, in order; one that was offered again counts once."""
    latest = {t.user_attrs[_FOLDER]: t for t in study.trials if _FOLDER in t.user_attrs}
    begun = [t for t in latest.values() if t.state != TrialState.WAITING]
    return sorted(begun, key=folder_of)


def folder_of(trial: FrozenTrial) -> str:
    """The name of a trial's folder."""
    return str(trial.user_attrs[_FOLDER])


def _offer_again(study: optuna.Study, trial: FrozenTrial) -> None:
    study.tell(trial.number, state=TrialState.FAIL)
    if _FOLDER in trial.user_attrs:  # otherwise its process died while it was drawn
        attributes = {_FOLDER: folder_of(trial)}
        study.enqueue_trial(trial.params, user_attrs=attributes)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a trial's folder.

    Raises:
        BlockingIOError: if another process does.
    """
    with (folder / ".trial.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
