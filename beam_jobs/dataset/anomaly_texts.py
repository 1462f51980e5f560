"""Texts of TFDV's findings: anomalies with their rules, and distances."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from beam_jobs.dataset.validation_result import Measurement


def describe(
    anomalies: anomalies_pb2.Anomalies, schema: schema_pb2.Schema
) -> Iterator[str]:
    """A line for each anomaly, with the rule that was broken.

    Args:
        anomalies: what TFDV found.
        schema: has the rules; an empty one adds none.
    """
    for name, anomaly in sorted(anomalies.anomaly_info.items()):
        yield f"{name}: {anomaly.description}{_rule(schema, name)}"
    if anomalies.HasField("dataset_anomaly_info"):
        yield anomalies.dataset_anomaly_info.description
    if anomalies.data_missing:
        yield "no example at all"


def measurements(
    anomalies: anomalies_pb2.Anomalies, compared: str
) -> Iterator[Measurement]:
    """The distances that TFDV measured, whether they are anomalies or not.

    Args:
        anomalies: what TFDV found.
        compared: what was compared with what, for a reader.
    """
    types = anomalies_pb2.DriftSkewInfo.Measurement.Type
    for info in anomalies.drift_skew_info:
        for found in (*info.drift_measurements, *info.skew_measurements):
            yield Measurement(
                compared,
                info.path.step[0],
                types.Name(found.type).lower().replace("_", " "),
                found.value,
                found.threshold,
            )


def _rule(schema: schema_pb2.Schema, name: str) -> str:
    """The schema's rules for a feature, in words; "" for one that it does not know."""
    for feature in schema.feature:
        if feature.name == name:
            return f" (must hold {_amount(feature)}{_domain(feature)} in every example)"
    return ""


def _amount(feature: schema_pb2.Feature) -> str:
    count = feature.value_count
    exactly = count.min == count.max
    return f"{'exactly' if exactly else 'at least'} {count.min} {_kind(feature)}"


def _kind(feature: schema_pb2.Feature) -> str:
    return "integer" if feature.type == schema_pb2.INT else "text"


def _domain(feature: schema_pb2.Feature) -> str:
    if not feature.HasField("int_domain"):
        return ""
    domain = feature.int_domain
    upper = f" to {domain.max}" if domain.HasField("max") else " on"
    return f" from {domain.min}{upper}"
