"""The run folder: configuration, checkpoints, metrics, manifest."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

import s4rec_tf
from s4rec_tf import backend, spec
from s4rec_tf import config as configuration
from s4rec_tf.data.corruption import replace_items
from s4rec_tf.data.samples import global_batch_size, training_samples
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.registry import model_class
from s4rec_tf.train import checkpoints

VOCABULARY = "vocabulary"
"""Key of the manifest: how many items and users a run knows, digest of the items."""

_WARM_START = "warm_start"


class RunError(ValueError):
    """A run folder that cannot be used as asked."""


class Dataset(Protocol):
    """A dataset folder, or the file that its arrays were written to."""

    def fingerprint(self) -> str:
        """The identity of the content."""


@dataclasses.dataclass(frozen=True)
class RunDir:
    """Paths inside a run folder."""

    root: Path

    @property
    def config(self) -> Path:
        """`config.json`: the resolved configuration, flat."""
        return self.root / "config.json"

    @property
    def manifest(self) -> Path:
        """`MANIFEST.json`: versions, dataset fingerprint; "finished" at the end."""
        return self.root / spec.MANIFEST_NAME

    @property
    def metrics(self) -> Path:
        """`metrics.jsonl`: one line an epoch."""
        return self.root / "metrics.jsonl"

    @property
    def last(self) -> Path:
        """The state after the last whole epoch, from which a run resumes."""
        return self.root / "checkpoints" / "last.npz"

    @property
    def best(self) -> Path:
        """The weights of the epoch with the best validation NDCG@20."""
        return self.root / "checkpoints" / "best.npz"

    @property
    def refit(self) -> Path:
        """The state of a refit on all data."""
        return self.root / "checkpoints" / "refit.npz"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    def is_finished(self) -> bool:
        """Whether training has come to its end."""
        return self.manifest.is_file() and self.read_manifest()["finished"]

    def read_manifest(self) -> dict[str, Any]:
        """The manifest.

        Raises:
            RunError: if there is none.
        """
        if not self.manifest.is_file():
            raise RunError(f"{self.root} is not a run folder: no {spec.MANIFEST_NAME}")
        manifest: dict[str, Any] = json.loads(self.manifest.read_text("utf-8"))
        return manifest

    def read_config(self) -> configuration.ExperimentConfig:
        """The configuration of the run.

        Raises:
            RunError: if there is none.
        """
        if not self.config.is_file():
            raise RunError(f"{self.root} is not a run folder: it has no config.json")
        return configuration.from_flat(json.loads(self.config.read_text("utf-8")))

    def begin(
        self,
        config: configuration.ExperimentConfig,
        dataset: Dataset,
        warm_start: str | None = None,
    ) -> None:
        """Starts the folder, or checks that it is of the same run.

        Args:
            config: the resolved configuration.
            dataset: what is trained on.
            warm_start: digest of the weights that the run starts from, if any.

        Raises:
            RunError: naming every key in which the configurations differ, or that the
                dataset or the weights to start from are others.
        """
        fingerprint = dataset.fingerprint()
        if self.config.is_file() and self.manifest.is_file():
            self._check_same(config, fingerprint)
            self._check_warm_start(warm_start)
            return
        self.last.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.config, config.flat())
        write_json(
            self.manifest,
            {
                "format_version": spec.FORMAT_VERSION,
                "code_version": s4rec_tf.__version__,
                "dataset_fingerprint": fingerprint,
                "seed": config.train.seed,
                _WARM_START: warm_start,
                **_vocabulary_of(dataset),
                "finished": False,
            },
        )

    def finish(self, outcome: dict[str, Any]) -> None:
        """Marks the run as finished."""
        manifest = {**self.read_manifest(), **outcome, "finished": True}
        write_json(self.manifest, manifest)

    def _check_same(
        self, config: configuration.ExperimentConfig, fingerprint: str
    ) -> None:
        # What an earlier version did not ask for had its default.
        here, asked = self.read_config().flat(), config.flat()
        differences = [
            f"{key}: {here.get(key)!r} there, {asked.get(key)!r} asked for"
            for key in sorted({*here, *asked})
            if here.get(key) != asked.get(key)
        ]
        if differences:
            raise RunError(
                f"{self.root} holds a run of another configuration: "
                + "; ".join(differences)
            )
        self.check_dataset(fingerprint)

    def _check_warm_start(self, digest: str | None) -> None:
        there = self.read_manifest().get(_WARM_START)
        if there != digest:
            raise RunError(
                f"{self.root} was started from other weights: sha256 {there} there, "
                f"{digest} asked for by `--warm_start`"
            )

    def check_dataset(self, fingerprint: str) -> None:
        """Checks that a dataset is the run's.

        Raises:
            RunError: with both fingerprints.
        """
        there = self.read_manifest()["dataset_fingerprint"]
        if there != fingerprint:
            raise RunError(
                f"{self.root} was trained on another dataset: fingerprint must be "
                f"{there}. Received: {fingerprint}"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second trainer out of the folder.

        Raises:
            RunError: if another process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"another process trains in {self.root}") from error
            yield


def _vocabulary_of(dataset: Dataset) -> dict[str, Any]:
    """What a warm start must know of the items; arrays have no raw ids."""
    if not isinstance(dataset, spec.DatasetDir):
        return {}
    info = dataset.info()
    digest = dataset.vocabulary_digest(info.num_items)
    num_users = info.split_examples["train"]
    sizes = {"num_items": info.num_items, "num_users": num_users}
    return {VOCABULARY: {**sizes, "sha256": digest}}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(value, indent=2) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def build_model(
    config: configuration.ExperimentConfig, info: spec.DatasetInfo
) -> SequenceRecommender:
    """A new model with every weight created."""
    return model_class(config.model).of_sizes(
        config.model_settings, info.num_items, info.split_examples["train"]
    )


def training_sequences(
    config: configuration.ExperimentConfig, train: Sequences, num_items: int
) -> Sequences:
    """The train split as a run learns from it.

    Args:
        config: of the run.
        train: the split as it is.
        num_items: V.
    """
    return replace_items(
        train, config.data.replaced_share, num_items, config.train.seed
    )


@contextlib.contextmanager
def _layers_of(precision: str) -> Iterator[None]:
    """Lets new layers compute in a precision; their weights are float32."""
    before = keras.config.dtype_policy()
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_for_training(
    config: configuration.ExperimentConfig,
    info: spec.DatasetInfo,
    sequences: Sequences,
    num_replicas: int = 1,
) -> SequenceRecommender:
    """A new model, seeded, prepared and compiled, as a run begins with it.

    Args:
        config: of the run.
        info: facts of the dataset.
        sequences: the train split.
        num_replicas: that share a global batch.
    """
    settings = config.train
    keras.utils.set_random_seed(settings.seed)
    with _layers_of(settings.precision):
        model = build_model(config, info)
    model.prepare(np.bincount(sequences.values, minlength=info.num_items + 1)[1:])
    model.know_users(sequences.user_ids)
    num_steps = 0
    if settings.schedule == "cosine" and model.trainable_variables:
        num_steps = settings.epochs * steps_an_epoch(config, sequences, num_replicas)
    compile_model(model, settings, num_steps)
    return model


def compile_model(
    model: SequenceRecommender, settings: configuration.TrainSettings, num_steps: int
) -> None:
    """Gives a model a new optimizer.

    Args:
        model: the model.
        settings: say which.
        num_steps: optimizer steps of its schedule, if it follows one.
    """
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine" and model.trainable_variables:
        rate = _cosine(settings, num_steps)
    optimizer = _optimizer(settings.optimizer, rate)
    if settings.weight_decay:
        add_weight_decay(optimizer, settings.weight_decay)
    optimizer.build(model.trainable_variables)
    model.list_rows(settings.optimizer == "lazy_adam")
    model.compile(optimizer=optimizer, jit_compile=False)


def _optimizer(name: str, rate: Any) -> Any:
    if name == "lazy_adam":
        if not backend.IS_TENSORFLOW:
            raise configuration.ConfigError(
                "`optimizer` must not be lazy_adam on a backend other than TensorFlow, "
                f"where no gradient lists rows. Received: {keras.backend.backend()}"
            )
        from s4rec_tf.train.lazy_adam import LazyAdam

        return LazyAdam(rate)
    if name == "adam" and backend.IS_TENSORFLOW:
        from s4rec_tf.train.fused_adam import FusedAdam

        return FusedAdam(rate)
    return keras.optimizers.get({"class_name": name, "config": {"learning_rate": rate}})


def add_weight_decay(optimizer: Any, weight_decay: float) -> None:
    """Lets an optimizer see every gradient plus `weight_decay` times its weight."""
    update_step = optimizer.update_step

    def update_decayed(gradient: Any, variable: Any, learning_rate: Any) -> None:
        decay = weight_decay * keras.ops.convert_to_tensor(variable)
        update_step(gradient + decay, variable, learning_rate)

    optimizer.update_step = update_decayed


def steps_an_epoch(
    config: configuration.ExperimentConfig, sequences: Sequences, num_replicas: int = 1
) -> int:
    """Optimizer steps of an epoch."""
    max_length = config.model_settings.max_length
    num_samples = len(training_samples(sequences, config.data.samples, max_length))
    batch_size = global_batch_size(config.train.batch_size, num_samples, num_replicas)
    return num_samples // batch_size


def _cosine(settings: configuration.TrainSettings, num_steps: int) -> Any:
    warmup_steps = max(num_steps // 20, 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        max(num_steps - warmup_steps, 1),
        warmup_target=settings.learning_rate,
        warmup_steps=warmup_steps,
    )


def restore_best(
    run_dir: Path, dataset: spec.DatasetDir
) -> tuple[SequenceRecommender, RunDir]:
    """The model of a run's best epoch.

    Raises:
        RunError: if the folder is no run or the dataset is another.
        checkpoints.CheckpointError: if the run has no whole checkpoint yet.
    """
    run = RunDir(run_dir)
    config = run.read_config()
    run.check_dataset(dataset.fingerprint())
    model = build_model(config, dataset.info())
    checkpoints.read_checkpoint(run.best, model.weights)
    return model, run
