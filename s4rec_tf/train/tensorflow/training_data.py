"""The splits that a run trains and validates on: in memory, or as a stream."""

from __future__ import annotations

import dataclasses

from s4rec_tf import spec
from s4rec_tf.data import records, streamed
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.data.streamed import StreamedSamples
from s4rec_tf.models.registry import model_class
from s4rec_tf.runs.config import ConfigError, ExperimentConfig
from s4rec_tf.train.setup import training_sequences

STREAMED_FROM = 100_000_000
"""Actions from which a dataset is streamed; in memory they take about 7 GB."""


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The parts of a dataset that a run reads.

    Attributes:
        train: the train split, as the run learns from it; some of its users, if it is
            streamed.
        valid: the valid split, likewise.
        streamed: samples of a split that stays on disk; None for one in memory.
    """

    train: Sequences
    valid: Sequences
    streamed: StreamedSamples | None = None


def read(config: ExperimentConfig, dataset: spec.DatasetDir) -> TrainingData:
    """Reads a dataset as `data` of the configuration says.

    Raises:
        ConfigError: if a setting needs all of a dataset that is streamed.
        spec.DatasetError: if the dataset is unfinished or damaged.
    """
    info, asked = dataset.info(), config.train.data
    chosen = asked
    if asked == "auto":
        chosen = "streaming" if info.num_actions >= STREAMED_FROM else "memory"
        print(
            f"data: {chosen}, since the dataset has {info.num_actions:,} actions "
            f"(streaming from {STREAMED_FROM:,})",
            flush=True,
        )
    if chosen == "streaming":
        return _stream(config, dataset)
    train = records.read_split(dataset, "train")
    sequences = training_sequences(config, train, info.num_items)
    return TrainingData(sequences, records.read_split(dataset, "valid"))


def _stream(config: ExperimentConfig, dataset: spec.DatasetDir) -> TrainingData:
    _refuse("model", config.model, not model_class(config.model).has_user_embeddings)
    share = config.data.replaced_share
    _refuse("replaced_share", share, not share)
    seed, max_length = config.train.seed, config.model_settings.max_length
    samples = StreamedSamples(dataset, config.data.samples, max_length, seed)
    valid = streamed.some_users(dataset, "valid", seed)
    total = dataset.info().split_examples["valid"]
    if len(valid) < total:
        print(f"validation on {len(valid):,} of {total:,} users, drawn at random")
    return TrainingData(samples.some_users, valid, samples)


def _refuse(name: str, value: object, is_possible: bool) -> None:
    if not is_possible:
        raise ConfigError(
            f"`{name}` must not need all users at once with data=streaming. "
            f"Received: {value}. Choose --data memory"
        )
