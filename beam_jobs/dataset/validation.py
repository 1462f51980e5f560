"""Statistics of the written examples, and what in them breaks the schema.

Imports tensorflow-data-validation, which takes long.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from beam_jobs.dataset.anomaly_texts import describe, measurements
from beam_jobs.dataset.popularity import compare_popularity
from beam_jobs.dataset.validation_result import (
    Statistics,
    ValidationResult,
    join_results,
)
from beam_jobs.layout import STATISTICS
from beam_jobs.storage.digests import WrittenFile, write_whole
from s4rec_tf import spec

with contextlib.redirect_stderr(io.StringIO()):  # it remarks that IPython is missing
    import tensorflow_data_validation as tfdv

MIN_COMPARED_EXAMPLES = 1000
"""Distributions of fewer examples differ by chance alone."""

MAX_POPULARITY_DRIFT = 0.2
"""Jensen-Shannon divergence of item popularity, by raw ids, that is no anomaly yet."""

DRIFT = "drift"
"""The comparison with the dataset before by its name in `--allow`."""

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


def read_statistics(root: Path) -> Statistics:
    """The statistics of all splits of a dataset folder."""
    return {
        split: statistics_pb2.DatasetFeatureStatisticsList.FromString(
            statistics_path(root, split).read_bytes()
        )
        for split in spec.SPLITS
    }


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


def _with_scaled_sizes(schema: schema_pb2.Schema, times: float) -> schema_pb2.Schema:
    """The schema for a dataset of so many times the usual number of users."""
    scaled = schema_pb2.Schema()
    scaled.CopyFrom(schema)
    comparator = scaled.dataset_constraints.num_examples_drift_comparator
    comparator.min_fraction_threshold *= times
    comparator.max_fraction_threshold *= times
    return scaled


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
) -> ValidationResult:
    anomalies = tfdv.validate_statistics(
        statistics, schema, environment=split, **others
    )
    return ValidationResult(
        # The rule that a distance breaks is its threshold, which the text names.
        [f"{compared}: {line}" for line in describe(anomalies, schema_pb2.Schema())],
        list(measurements(anomalies, compared)),
    )


def compare_splits(
    statistics: Statistics, schema: schema_pb2.Schema
) -> ValidationResult:
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
    return join_results(findings)


def compare_with_previous(
    statistics: Statistics,
    schema: schema_pb2.Schema,
    previous: Statistics,
    popularities: Popularities | None = None,
    times: float = 1.0,
) -> ValidationResult:
    """The drift since the previous dataset, of all users and of all their actions.

    Args:
        statistics: of the splits.
        schema: the completed schema, which holds the thresholds.
        previous: statistics of the dataset before.
        popularities: actions by raw item id, now and before, if they are compared.
        times: users to be expected, over those before.
    """
    schema, findings = _with_scaled_sizes(schema, times), []
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
    return join_results(findings)


def validate(
    statistics: Statistics,
    schema: schema_pb2.Schema,
    info: spec.DatasetInfo,
    previous: Statistics | None,
    popularities: Popularities | None = None,
    allow_drift: bool = False,
) -> ValidationResult:
    """All anomalies of a dataset.

    Args:
        statistics: of its splits.
        schema: the completed schema.
        info: the job's report of what it wrote.
        previous: statistics of the dataset before, or None.
        popularities: see `compare_with_previous`.
        allow_drift: whether drift is reported and lets the dataset through.
    """
    anomalies = [
        f"{split}: {line}"
        for split in spec.SPLITS
        for line in validate_split(
            statistics[split], schema, split, info.split_examples[split]
        )
    ]
    findings = [ValidationResult(anomalies, [])]
    if not anomalies:
        findings.append(compare_splits(statistics, schema))
    if not anomalies and previous is not None:
        drift = compare_with_previous(statistics, schema, previous, popularities)
        findings.append(drift.let_through() if allow_drift else drift.with_hint())
    return join_results(findings)


def write_findings(
    root: Path, schema: schema_pb2.Schema, findings: ValidationResult
) -> list[WrittenFile]:
    """Writes `schema.pbtxt` and `anomalies.pbtxt`, which holds what was let through.

    Raises:
        AnomalyError: with the text of every anomaly, if there is one.
    """
    if findings.anomalies:
        raise AnomalyError(
            "the dataset breaks its schema, nothing is published: "
            + "; ".join(findings.anomalies)
        )
    allowed = "".join(f"# allowed: {line}\n" for line in findings.allowed)
    texts = {
        "schema.pbtxt": text_format.MessageToString(schema),
        "anomalies.pbtxt": allowed,
    }
    return [write_whole(str(root), name, text.encode()) for name, text in texts.items()]
