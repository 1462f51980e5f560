"""One trainer for every backend: resumption, stages, epochs, early stop."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from s4rec_tf import spec
from s4rec_tf.data.samples import Samples
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.config import ExperimentConfig
from s4rec_tf.runs.run_dir import Dataset, RunDir
from s4rec_tf.train import health, resumption
from s4rec_tf.train.keeping import Keeping, StepEnds, Sums
from s4rec_tf.train.optimizers import averaged_weights
from s4rec_tf.train.resumption import Progress
from s4rec_tf.train.setup import batch_size_of, build_for_training, samples_of
from s4rec_tf.train.stages import begin_stages
from s4rec_tf.train.stop_requests import Stopped
from s4rec_tf.train.validation import EpochEnd, Ranker

if TYPE_CHECKING:
    from s4rec_tf.data.streamed import StreamedSamples

Logs = dict[str, float]


class Trainer(abc.ABC):
    """A compiled model beside the samples that it is trained on.

    A backend adds `begin` and `train_epoch`.

    Args:
        config: of the run.
        info: facts of the dataset.
        sequences: the train split; some of its users, if it is streamed.
        streamed: samples of a split that stays on disk; None for one in memory.
    """

    num_replicas = 1
    """Number of replicas that share a global batch."""
    agrees_every = 1
    """Steps between two times that all processes ask each other whether to stop."""
    is_chief = True
    """Whether this process is the one that validates and writes files."""

    def __init__(
        self,
        config: ExperimentConfig,
        info: spec.DatasetInfo,
        sequences: Sequences,
        streamed: StreamedSamples | None = None,
    ) -> None:
        self.config, self.sequences = config, sequences
        self.num_items, replicas = info.num_items, self.num_replicas
        with self.scope():
            model = build_for_training(config, info, sequences, replicas, streamed)
        self.model: SequenceRecommender = model
        self.samples: Samples | StreamedSamples | None = None
        self.batch_size = self.steps = 0
        if model.trainable_variables:
            self.samples = streamed or samples_of(config, sequences)
            self.batch_size = batch_size_of(config, self.samples, replicas)
            self.steps = len(self.samples) // self.batch_size

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Context in which variables are made."""
        return contextlib.nullcontext()

    @property
    @abc.abstractmethod
    def devices(self) -> str:
        """The devices in words."""

    @abc.abstractmethod
    def begin(self, epoch: int, first_step: int = 0) -> None:
        """Prepares the epochs of a stage from a step on; the optimizer may be new."""

    @abc.abstractmethod
    def train_epoch(self, epoch: int, ends: StepEnds) -> None:
        """Trains the steps of an epoch, counted from 0, that `ends.place` leaves."""

    def ranker(self, sequences: Sequences) -> Ranker | None:
        """A faster way to rank a split than `ranking.full_ranking`, if there is one."""
        return None

    def agree(self, stop: bool) -> bool:
        """The chief's decision whether to stop, for all processes."""
        return self.agree_on(stop, False)[0]

    def agree_on(self, is_due: bool, stops: bool) -> tuple[bool, bool]:
        """The decisions for all processes: the chief's, and anybody's."""
        return is_due, stops

    def sums(self) -> Sums:
        """The variables of every loss term's mean since the epoch began."""
        means = self.model.term_means.items()
        return {name: [float(v) for v in mean.variables] for name, mean in means}

    def put_back_sums(self, sums: Sums) -> None:
        """Assigns what `sums` gave; replicas may have become fewer or more."""
        for name, mean in self.model.term_means.items():
            for variable, value in zip(mean.variables, sums[name], strict=True):
                variable.assign(np.sum(value, dtype=np.float32))

    def refresh(self, epoch: int) -> None:
        """Calls `begin_epoch` of the model, for what it computes once an epoch."""
        self.model.begin_epoch(
            lambda: encoding.embed_users(self.model, self.sequences),
            np.random.default_rng([self.config.train.seed, epoch]),
        )

    def train(
        self,
        first: int,
        last: int | None,
        end_epoch: Callable[[Logs, float], bool],
        ends: StepEnds,
    ) -> None:
        """Trains epochs, stage by stage.

        Args:
            first: the first epoch, counted from 0.
            last: the last one (excluded); that of the training if None.
            end_epoch: called with the mean of every loss term and the epoch's seconds;
                returns whether to stop.
            ends: called between steps; gives the first step of the first epoch.

        Raises:
            Diverged: if a loss term or a weight is not finite.
            Stopped: if a signal has asked for an end; nothing is lost.
        """
        is_within = ends.place.step > 0
        stages = begin_stages(
            *(self.model, self.config.train, self.steps, first, last),
            *(self.scope, is_within),
        )
        with contextlib.closing(self), ends.stop.later():
            for start, end in stages:
                with ends.stop.now():
                    self.begin(start, ends.place.step)
                for epoch in range(start, end):
                    self._train_one(epoch, ends)
                    if end_epoch(self.loss_terms(), ends.seconds()):
                        return
                    ends.end_epoch()

    def close(self) -> None:
        """Ends what `begin` began."""
        return

    def _train_one(self, epoch: int, ends: StepEnds) -> None:
        ends.begin_epoch()
        if ends.place.step:
            self.put_back_sums(ends.place.sums)
        else:
            with ends.stop.now():
                self.refresh(epoch)
            self.model.reset_metrics()
        self.train_epoch(epoch, ends)
        if names := health.bad_weights(self.model):
            raise health.Diverged(names, epoch + 1, self.steps)

    def diverged(self, epoch: int, step: int) -> health.Diverged:
        """The error of a step, from 0 like the epoch, whose terms are not finite."""
        names = health.bad_terms(self.loss_terms())
        return health.Diverged(names, epoch + 1, step + 1, self.batch(epoch, step))

    def batch(self, epoch: int, step: int) -> dict[str, np.ndarray]:
        """The batch of a step; nothing where batches never leave the device."""
        return {}

    def loss_terms(self) -> Logs:
        """The mean of every loss term since the epoch began, and of their sum."""
        # Keras' own tracker of the total is fed by `fit` alone.
        results = self.model.get_metrics_result()
        logs = {name: float(v) for name, v in results.items() if name != "loss"}
        total = sum(v for name, v in logs.items() if name.endswith("_weighted"))
        return {"loss": total, **logs}


def train_run(
    trainer: Trainer,
    run: RunDir,
    valid: Sequences,
    initialize: Callable[[SequenceRecommender], None] | None = None,
    log_epoch: Callable[[int, Logs], None] | None = None,
    keeping: Keeping | None = None,
) -> Progress:
    """Trains what is left of a run.

    Args:
        trainer: holds a new model.
        run: its folder, begun.
        valid: the valid split.
        initialize: sets the weights of a model that nothing has trained yet.
        log_epoch: called with the number of every epoch, from 0, and its figures.
        keeping: when to write the state within an epoch; the defaults if None.

    Returns:
        progress of the run at the end.

    Raises:
        Diverged: if a number is not finite; the folder then has `failure.json`.
        Stopped: if a signal has asked for an end.
        ValueError: if the valid split holds no user.
    """
    if not len(valid):
        lengths = trainer.sequences.sequence_lengths
        raise ValueError(
            "validation needs a user with at least 3 actions. "
            f"Received: {len(lengths)} users, the longest with {lengths.max(initial=0)}"
        )
    model, patience = trainer.model, trainer.config.train.patience
    progress, place = resumption.find_state(run, model, trainer.is_chief)
    if initialize and not (progress.epochs_done or place.step):
        initialize(model)
    if trainer.is_chief:
        resumption.forget_unfinished_epochs(run, progress)
    close = EpochEnd(model, run, valid, progress, trainer.ranker(valid))
    ends = StepEnds(
        trainer,
        lambda within: resumption.write_last(
            run, model, progress, within, trainer.is_chief
        ),
        keeping or Keeping(),
        place,
    )
    before: Logs = {}
    has_validated = False

    def validate() -> Logs:
        try:
            with averaged_weights(model), ends.stop.now():
                return close.validate()
        except Stopped:
            ends.write(trainer.steps)
            raise

    def end_epoch(logs: Logs, seconds: float) -> bool:
        nonlocal before, has_validated
        if not trainer.is_chief:
            progress.epochs_done += 1
            return trainer.agree(False)
        validation = validate()
        close({**logs, "train_seconds": round(seconds, 2)}, validation)
        found = {**logs, **validation}
        warnings = health.warnings(before, found)
        if validation and not has_validated:
            has_validated = True
            warnings += health.padding_warnings(
                model, valid, trainer.config.train.precision
            )
        for warning in warnings:
            number = progress.epochs_done
            print(f"warning: epoch {number}: {warning}", file=sys.stderr, flush=True)
        before = found
        if log_epoch:
            log_epoch(progress.epochs_done - 1, found)
        text = " ".join(f"{name} {value:.4f}" for name, value in found.items())
        print(f"epoch {progress.epochs_done}: {seconds:.1f} s {text}", flush=True)
        return trainer.agree(progress.is_over(patience))

    if trainer.samples is None:
        close({"train_seconds": 0.0}, close.validate())
    elif not progress.is_over(patience):
        print(
            f"{trainer.config.model}: {len(trainer.samples)} samples, batch "
            f"{trainer.batch_size}, {trainer.steps} steps an epoch, {trainer.devices}",
            flush=True,
        )
        try:
            trainer.train(progress.epochs_done, None, end_epoch, ends)
        except health.Diverged as error:
            if trainer.is_chief:
                error.write(run.root)
                run.publish()
            raise
    if trainer.is_chief:
        run.finish(dataclasses.asdict(progress))
    return progress


def train_once(
    run: RunDir,
    config: ExperimentConfig,
    dataset: Dataset,
    train: Callable[[], Progress],
    warm_start: str | None = None,
    device: str = "",
) -> Progress:
    """Begins a run and trains it, unless it is finished; locks its folder meanwhile.

    Args:
        run: the run folder.
        config: the resolved configuration.
        dataset: what is trained on.
        train: trains the rest of the run.
        warm_start: digest of the weights that the run starts from, if any.
        device: what is trained on, in words.

    Returns:
        progress of the run at the end.

    Raises:
        RunError: if the folder holds another run or another process trains in it.
    """
    with run.lock():
        run.begin(config, dataset, warm_start, device)
        if not run.is_finished():
            return train()
        outcome = run.read_manifest()
        print(
            f"{run.root} is finished: best validation NDCG@20 "
            f"{outcome['best_value']:.4f} in epoch {outcome['best_epoch']}"
        )
        return Progress(**checkpoints.read_state(run.best))
