"""Validation results; apart from validation, so that the page needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tensorflow_metadata.proto.v0 import statistics_pb2

Statistics = Mapping[str, statistics_pb2.DatasetFeatureStatisticsList]
"""Statistics per split."""


class Measurement(NamedTuple):
    """A distance between two distributions of a feature.

    Attributes:
        compared: what is compared, such as "test with valid".
        feature: the feature's name.
        measure: name of the distance.
        value: the distance.
        threshold: the distance above which it is an anomaly.
    """

    compared: str
    feature: str
    measure: str
    value: float
    threshold: float


class ValidationResult(NamedTuple):
    """Validation results.

    Attributes:
        anomalies: one line each; none if the data is sound.
        measurements: all distances measured.
        allowed: anomalies that were let through.
    """

    anomalies: list[str]
    measurements: list[Measurement]
    allowed: tuple[str, ...] = ()

    def let_through(self) -> ValidationResult:
        """The same with every anomaly allowed."""
        return ValidationResult([], self.measurements, (*self.allowed, *self.anomalies))

    def with_hint(self) -> ValidationResult:
        """The same, the last anomaly followed by how to let drift through."""
        *first, last = self.anomalies or [""]
        if not last:
            return self
        told = f"{last} If the data is right, let drift through by `--allow drift`."
        return self._replace(anomalies=[*first, told])


def join_results(findings: list[ValidationResult]) -> ValidationResult:
    """All anomalies and measurements."""
    return ValidationResult(
        [line for found in findings for line in found.anomalies],
        [distance for found in findings for distance in found.measurements],
        tuple(line for found in findings for line in found.allowed),
    )
