"""Sequences -> a tf.train.Example a user and split."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam

from beam_jobs.sequences import UserSequence
from beam_jobs.sinks.encoding import Feature, serialize_example
from beam_jobs.splits import SplitExample, split_examples
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401
from beam_jobs.transforms.counting import COUNTS, CountingDoFn
from beam_jobs.transforms.find_head import HeadRule
from beam_jobs.transforms.singletons import OncePerObject
from beam_jobs.transforms.vocabulary import item_ids
from s4rec_tf import spec

UserRecord = tuple[bytes, bytes]
"""A user's raw id and their serialized example."""


class Examples(NamedTuple):
    """Outputs of `MakeExamples`.

    Attributes:
        by_split: from split to a collection of (user, serialized example).
        counts: `users_in_core`, `actions_in_core`, `head_users`, and `train_examples`,
            `valid_examples`, `test_examples`.
    """

    by_split: dict[str, beam.PCollection]
    counts: beam.PCollection


@dataclasses.dataclass(eq=False)
class MakeExamples(beam.PTransform):
    """Numbers the items, divides sequences into splits, and serializes examples.

    Args:
        vocabulary: the collection of `BuildVocabulary`.
        head: the collection of `FindHead`.
    """

    vocabulary: beam.PCollection
    head: beam.PCollection

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, sequences: beam.PCollection) -> Examples:
        """A collection of `UserSequence` -> `Examples`."""
        made = sequences | "Serialize" >> beam.ParDo(
            _SerializeUser(),
            beam.pvalue.AsSingleton(self.vocabulary),
            beam.pvalue.AsSingleton(self.head),
        ).with_outputs(COUNTS, *spec.SPLITS)
        return Examples({split: made[split] for split in spec.SPLITS}, made[COUNTS])


class _SerializeUser(CountingDoFn):
    def start_bundle(self) -> None:
        super().start_bundle()
        self._item_ids = OncePerObject(item_ids)

    def process(
        self, sequence: UserSequence, vocabulary: bytes, head: HeadRule
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        id_of = self._item_ids(vocabulary)
        ids = [id_of[item] for item in sequence.items]
        is_head = head.is_head(sequence)
        self.counts["users_in_core"] += 1
        self.counts["actions_in_core"] += len(ids)
        self.counts["head_users"] += is_head
        for example in split_examples(ids, sequence.cuts):
            self.counts[f"{example.split}_examples"] += 1
            features = to_features(sequence, len(ids), is_head, example)
            record = (sequence.user, serialize_example(features))
            yield beam.pvalue.TaggedOutput(example.split, record)


def to_features(
    sequence: UserSequence, length: int, is_head: bool, example: SplitExample
) -> dict[str, Feature]:
    """The features of an example, as `s4rec_tf.spec` states them."""
    features: dict[str, Feature] = {
        spec.USER_ID: sequence.user,
        spec.ITEM_IDS: list(example.item_ids),
        spec.IS_HEAD: int(is_head),
        spec.SEQUENCE_LENGTH: length,
    }
    if example.target_id is not None:
        features[spec.TARGET_ID] = example.target_id
    return features
