"""The shift of the items' popularity between two datasets, by raw ids.

The statistics know items by their number alone, so to them two shops of the same shape
are alike; here an item is its raw id.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from beam_jobs.dataset.validation_result import Measurement, ValidationResult
from s4rec_tf.spec import DatasetDir

FEATURE = "item popularity"


def read_popularity(dataset: DatasetDir) -> dict[str, int]:
    """Actions of every item of a dataset, by raw id."""
    counts = map(int, dataset.item_counts.read_text("utf-8").split())
    return dict(zip(dataset.vocabulary(), counts, strict=True))


def jensen_shannon(first: Mapping[str, int], second: Mapping[str, int]) -> float:
    """The Jensen-Shannon divergence of two counts, to base 2: from 0 to 1.

    Example: ({"a": 1}, {"a": 2}) -> 0; ({"a": 1}, {"b": 1}) -> 1.
    """
    totals = sum(first.values()), sum(second.values())

    def terms() -> Iterable[float]:
        # Sorted: the sum of floats must not depend on the order of a set.
        for key in sorted({*first, *second}):
            shares = first.get(key, 0) / totals[0], second.get(key, 0) / totals[1]
            mean = sum(shares) / 2
            for share in shares:
                if share:
                    yield share * math.log2(share / mean) / 2

    return max(0.0, math.fsum(terms()))


def compare_popularity(
    current: Mapping[str, int],
    previous: Mapping[str, int],
    threshold: float,
    compared: str,
) -> ValidationResult:
    """The distance between two datasets' items.

    Args:
        current: actions by raw id.
        previous: the same of the dataset before.
        threshold: the distance above which it is an anomaly.
        compared: what is compared, in words.
    """
    distance = jensen_shannon(current, previous)
    measured = Measurement(
        compared, FEATURE, "jensen shannon divergence", distance, threshold
    )
    if distance <= threshold:
        return ValidationResult([], [measured])
    known = len(previous.keys() & current.keys())
    anomaly = (
        f"{compared}: {FEATURE}: The Jensen-Shannon divergence by raw item id is "
        f"{distance:.4f}, above the threshold {threshold:g}; {known:,} of "
        f"{len(previous):,} items before are among the {len(current):,} now."
    )
    return ValidationResult([anomaly], [measured])
