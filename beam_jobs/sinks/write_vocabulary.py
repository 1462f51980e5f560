"""The vocabulary -> its two files of lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam

from beam_jobs.storage.digests import WrittenFile, write_whole
from beam_jobs.transforms.vocabulary import parse_vocabulary
from s4rec_tf.spec import DatasetDir


@dataclasses.dataclass(eq=False)
class WriteVocabulary(beam.PTransform):
    """Writes raw ids, and actions, in order of item id: `WrittenFile`s.

    Args:
        root: the dataset folder being built.
    """

    root: Path

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, vocabulary: beam.PCollection) -> beam.PCollection:
        """The collection of `BuildVocabulary` -> `WrittenFile`."""
        return vocabulary | "Write" >> beam.FlatMap(write_vocabulary, str(self.root))


def write_vocabulary(vocabulary: bytes, root: str) -> Iterator[WrittenFile]:
    """Writes line n of both files: the raw id of item n and its number of actions."""
    dataset, items = DatasetDir(Path(root)), parse_vocabulary(vocabulary)
    ids = b"".join(item + b"\n" for item, _ in items)
    counts = b"".join(b"%d\n" % count for _, count in items)
    yield write_whole(root, dataset.item_vocab.name, ids)
    yield write_whole(root, dataset.item_counts.name, counts)
