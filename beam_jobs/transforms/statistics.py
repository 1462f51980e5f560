"""Serialized examples -> TFDV's statistics of a split, in the job's own pipeline."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from beam_jobs.layout import STATISTICS
from beam_jobs.storage.digests import WrittenFile, write_whole
from beam_jobs.transforms.make_examples import UserRecord
from s4rec_tf import spec

with contextlib.redirect_stderr(io.StringIO()):  # it remarks that IPython is missing
    import tensorflow_data_validation as tfdv
    from tfx_bsl.coders import example_coder

_BATCH = 4000
_MAX_CATEGORIES = 10_000
"""Distinct values of a categorical feature that are counted, such as lengths."""


@dataclasses.dataclass(eq=False)
class WriteStatistics(beam.PTransform):
    """Computes and writes the statistics of a split: a collection of `WrittenFile`.

    Args:
        root: the dataset folder being built.
        split: the split's name.
        schema: names the integers that are categories.
    """

    root: Path
    split: str
    schema: schema_pb2.Schema

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, examples: beam.PCollection) -> beam.PCollection:
        """A collection of (user, serialized example) -> `WrittenFile`."""
        # Sketches bound the memory; without them the distinct users are shuffled.
        options = tfdv.StatsOptions(
            schema=self.schema,
            use_sketch_based_topk_uniques=True,
            num_rank_histogram_buckets=_MAX_CATEGORIES,
        )
        return (
            examples
            | "Decode" >> beam.ParDo(_DecodeBatches()).with_output_types(pa.RecordBatch)
            | "Generate" >> tfdv.GenerateStatistics(options)
            | "Write" >> beam.Map(write_statistics, str(self.root), self.split)
        )


class _DecodeBatches(beam.DoFn):
    """Examples -> Arrow batches."""

    def setup(self) -> None:
        self._decoder = example_coder.ExamplesToRecordBatchDecoder()

    def start_bundle(self) -> None:
        self._records: list[bytes] = []

    def process(self, example: UserRecord) -> Iterator[pa.RecordBatch]:
        self._records.append(example[1])
        if len(self._records) == _BATCH:
            yield self._decoder.DecodeBatch(self._records)
            self._records = []

    def finish_bundle(self) -> Iterator[object]:
        if self._records:
            batch = self._decoder.DecodeBatch(self._records)
            yield GlobalWindows.windowed_value(batch)


def write_statistics(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, root: str, split: str
) -> WrittenFile:
    """Writes a split's statistics without the ids of users, which nobody needs there.

    Args:
        statistics: of the split.
        root: the dataset folder being built.
        split: the split's name.
    """
    for dataset in statistics.datasets:
        for feature in dataset.features:
            if feature.path.step[0] == spec.USER_ID:
                feature.string_stats.ClearField("top_values")
                feature.string_stats.ClearField("rank_histogram")
    content = statistics.SerializeToString(deterministic=True)
    return write_whole(root, f"{STATISTICS}/{split}.pb", content)
