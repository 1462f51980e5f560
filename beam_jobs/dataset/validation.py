"""Statistics of the written examples, and what in them breaks the schema.

The only file that imports tensorflow-data-validation, whose import takes long.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from beam_jobs.dataset.anomaly_texts import describe, measurements
from beam_jobs.dataset.findings import STATISTICS, Findings, Statistics, join_findings
from beam_jobs.dataset.popularity import compare_popularity
from beam_jobs.runner import RunPipeline
from beam_jobs.storage.files import new_file
from beam_jobs.tfrecord_files import read_records
from s4rec_tf import spec

with contextlib.redirect_stderr(io.StringIO()):  # it remarks that IPython is missing
    import tensorflow_data_validation as tfdv
    from tfx_bsl.coders import example_coder

MIN_COMPARED_EXAMPLES = 1000
"""Distributions of fewer examples differ by chance alone."""

MAX_POPULARITY_DRIFT = 0.2
"""Jensen-Shannon divergence of item popularity, by raw ids, that is no anomaly yet."""

DRIFT = "drift"
"""The comparison with the dataset before by its name in `--allow`."""

_BATCH = 1000
_SECONDS_PER_EXAMPLE = 2e-5
"""On one core."""

_IMPORT_SECONDS = 10.0
"""What TFDV's import costs every further worker process."""

_MAX_CATEGORIES = 10_000
"""Distinct values of a categorical feature that are counted, such as lengths."""

_PREVIOUS = "the previous dataset (--previous_statistics)"

Popularities = tuple[Mapping[str, int], Mapping[str, int]]
"""Actions by raw item id, of a dataset and of the one before."""

_SAME_USERS = (("test", "valid"), ("train", "test"))
"""Splits that are compared: each user of the second is in the first."""


class AnomalyError(ValueError):
    """The written examples break the schema."""


def statistics_path(root: Path, split: str) -> Path:
    """Where the statistics of a split lie, a binary DatasetFeatureStatisticsList."""
    return root / STATISTICS / f"{split}.pb"


def curated_schema() -> schema_pb2.Schema:
    """The schema that is kept beside this file."""
    text = Path(__file__).with_name("schema.pbtxt").read_text("utf-8")
    return text_format.Parse(text, schema_pb2.Schema())


def complete_schema(
    schema: schema_pb2.Schema, info: spec.DatasetInfo
) -> schema_pb2.Schema:
    """The curated schema with the domains that depend on the data."""
    completed = schema_pb2.Schema()
    completed.CopyFrom(schema)
    features = {feature.name: feature for feature in completed.feature}
    for name in (spec.ITEM_IDS, spec.TARGET_ID):
        features[name].int_domain.max = info.num_items
    features[spec.SEQUENCE_LENGTH].int_domain.min = info.k_core
    return completed


def wire_statistics(
    pipeline: beam.Pipeline, root: Path, schema: schema_pb2.Schema
) -> None:
    """Wires the statistics of all splits, from their TFRecords.

    Args:
        pipeline: the pipeline.
        root: the dataset folder being built.
        schema: says which integers are categories.
    """
    # Sketches bound the memory; without them the distinct users are shuffled.
    options = tfdv.StatsOptions(
        schema=schema,
        use_sketch_based_topk_uniques=True,
        num_rank_histogram_buckets=_MAX_CATEGORIES,
    )
    for split in spec.SPLITS:
        shards = spec.DatasetDir(root).shards(split)
        (
            pipeline
            | f"Shards/{split}" >> beam.Create(shards)
            | f"SpreadShards/{split}" >> beam.Reshuffle()
            | f"Read/{split}" >> beam.FlatMap(_read_batches)
            | f"Statistics/{split}" >> tfdv.GenerateStatistics(options)
            | f"Write/{split}"
            >> tfdv.WriteStatisticsToBinaryFile(str(statistics_path(root, split)))
        )


def _read_batches(shard: Path) -> Iterator[pa.RecordBatch]:
    # Beam's own reader hands on record by record, which takes longer than the rest.
    decoder = example_coder.ExamplesToRecordBatchDecoder()
    records = read_records(shard)
    while batch := list(itertools.islice(records, _BATCH)):
        yield decoder.DecodeBatch(batch)


def read_statistics(root: Path) -> Statistics:
    """The statistics of all splits of a dataset folder."""
    return {
        split: statistics_pb2.DatasetFeatureStatisticsList.FromString(
            statistics_path(root, split).read_bytes()
        )
        for split in spec.SPLITS
    }


def generate_statistics(
    root: Path,
    schema: schema_pb2.Schema,
    run_pipeline: RunPipeline,
    num_examples: int = 0,
) -> Statistics:
    """Computes and writes the statistics of all splits of a dataset folder.

    Args:
        root: the dataset folder being built.
        schema: says which integers are categories.
        run_pipeline: runs a pipeline.
        num_examples: about how many there are in all splits.
    """
    (root / STATISTICS).mkdir()
    run_pipeline(
        functools.partial(wire_statistics, root=root, schema=schema),
        max(0.0, num_examples * _SECONDS_PER_EXAMPLE - _IMPORT_SECONDS),
    )
    for split in spec.SPLITS:
        _forget_users(statistics_path(root, split))
    return read_statistics(root)


def _forget_users(path: Path) -> None:
    """Takes the ids of users, which nobody needs there, out of the statistics."""
    statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(
        path.read_bytes()
    )
    for dataset in statistics.datasets:
        for feature in dataset.features:
            if feature.path.step[0] == spec.USER_ID:
                feature.string_stats.ClearField("top_values")
                feature.string_stats.ClearField("rank_histogram")
    with new_file(path) as stream:
        stream.write(statistics.SerializeToString(deterministic=True))


def _num_examples(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> int:
    return sum(dataset.num_examples for dataset in statistics.datasets)


def _invalid_utf8(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> Iterator[str]:
    for dataset in statistics.datasets:
        for feature in dataset.features:
            count = feature.string_stats.invalid_utf8_count
            if count:
                yield f"{feature.path.step[0]}: {count} values are no valid UTF-8"


def _without_comparators(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    plain = schema_pb2.Schema()
    plain.CopyFrom(schema)
    for feature in plain.feature:
        feature.ClearField("drift_comparator")
        feature.ClearField("skew_comparator")
    return plain


def validate_split(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    split: str,
    expected_examples: int,
) -> list[str]:
    """The anomalies of one split by itself.

    Args:
        statistics: of the split.
        schema: the completed schema.
        split: its name, an environment of the schema.
        expected_examples: number of examples that were written.
    """
    if expected_examples == 0 == _num_examples(statistics):
        return []
    plain = _without_comparators(schema)
    constraints = plain.dataset_constraints
    constraints.min_examples_count = constraints.max_examples_count = expected_examples
    anomalies = tfdv.validate_statistics(statistics, plain, environment=split)
    return [*describe(anomalies, plain), *_invalid_utf8(statistics)]


def _compare(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    split: str,
    compared: str,
    **others: statistics_pb2.DatasetFeatureStatisticsList,
) -> Findings:
    anomalies = tfdv.validate_statistics(
        statistics, schema, environment=split, **others
    )
    return Findings(
        # The rule that a distance breaks is its threshold, which the text names.
        [f"{compared}: {line}" for line in describe(anomalies, schema_pb2.Schema())],
        list(measurements(anomalies, compared)),
    )


def compare_splits(statistics: Statistics, schema: schema_pb2.Schema) -> Findings:
    """The skew between the splits that hold the same users."""
    findings = []
    for split, other in _SAME_USERS:
        sizes = {_num_examples(statistics[name]) for name in (split, other)}
        if len(sizes) == 1 and min(sizes) >= MIN_COMPARED_EXAMPLES:
            found = _compare(
                statistics[split],
                schema,
                split,
                f"{split} with {other}",
                serving_statistics=statistics[other],
            )
            findings.append(found)
    return join_findings(findings)


def compare_with_previous(
    statistics: Statistics,
    schema: schema_pb2.Schema,
    previous: Statistics,
    popularities: Popularities | None = None,
) -> Findings:
    """The drift since the previous dataset, of all users and of all their actions.

    Args:
        statistics: of the splits.
        schema: the completed schema, which holds the thresholds.
        previous: statistics of the dataset before.
        popularities: actions by raw item id, now and before, if they are compared.
    """
    findings = []
    is_large = all(
        _num_examples(each["train"]) >= MIN_COMPARED_EXAMPLES
        for each in (statistics, previous)
    )
    if popularities is not None and is_large:
        found = compare_popularity(
            *popularities, MAX_POPULARITY_DRIFT, f"dataset with {_PREVIOUS}"
        )
        findings.append(found)
    for split in ("train", "test"):
        sizes = [_num_examples(each[split]) for each in (statistics, previous)]
        if 0 in sizes:
            continue
        is_small = min(sizes) < MIN_COMPARED_EXAMPLES
        found = _compare(
            statistics[split],
            _without_comparators(schema) if is_small else schema,
            split,
            f"{split} with {_PREVIOUS}",
            previous_statistics=previous[split],
        )
        findings.append(found)
    return join_findings(findings)


def validate(
    statistics: Statistics,
    schema: schema_pb2.Schema,
    info: spec.DatasetInfo,
    previous: Statistics | None,
    popularities: Popularities | None = None,
    allow_drift: bool = False,
) -> Findings:
    """All anomalies of a dataset.

    Args:
        statistics: of its splits.
        schema: the completed schema.
        info: what the job says it wrote.
        previous: statistics of the dataset before, or None.
        popularities: see `compare_with_previous`.
        allow_drift: whether what drifted is only told.
    """
    anomalies = [
        f"{split}: {line}"
        for split in spec.SPLITS
        for line in validate_split(
            statistics[split], schema, split, info.split_examples[split]
        )
    ]
    findings = [Findings(anomalies, [])]
    if not anomalies:
        findings.append(compare_splits(statistics, schema))
    if not anomalies and previous is not None:
        drift = compare_with_previous(statistics, schema, previous, popularities)
        findings.append(drift.let_through() if allow_drift else drift.with_way_out())
    return join_findings(findings)


def write_findings(root: Path, schema: schema_pb2.Schema, findings: Findings) -> None:
    """Writes `schema.pbtxt` and `anomalies.pbtxt`, which holds what was let through.

    Raises:
        AnomalyError: with the text of every anomaly, if there is one.
    """
    if findings.anomalies:
        raise AnomalyError(
            "the dataset breaks its schema, nothing is published: "
            + "; ".join(findings.anomalies)
        )
    with new_file(root / "schema.pbtxt") as stream:
        stream.write(text_format.MessageToString(schema).encode())
    with new_file(root / "anomalies.pbtxt") as stream:
        for line in findings.allowed:
            stream.write(f"# allowed: {line}\n".encode())
