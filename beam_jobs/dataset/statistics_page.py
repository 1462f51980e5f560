"""The statistics of a dataset as one HTML page that needs no network.

TFDV's own viewer loads its components from the internet. Plotly draws this one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from tensorflow_metadata.proto.v0 import statistics_pb2

from beam_jobs.dataset.history import Entry
from beam_jobs.dataset.history_page import history_blocks
from beam_jobs.dataset.validation_result import (
    Measurement,
    Statistics,
    ValidationResult,
)
from s4rec_tf import spec
from s4rec_tf.report_page.blocks import Block, Figure, Heading, Paragraph, Table
from s4rec_tf.report_page.figures import histogram
from s4rec_tf.report_page.page import as_html

_MAX_BARS = 40

Range = tuple[float, float, float]
"""Low and high end of a range of a number, and how many values lie in it."""


def render_page(
    info: spec.DatasetInfo,
    statistics: Statistics,
    previous: Statistics | None,
    findings: ValidationResult,
    entries: Sequence[Entry] = (),
) -> str:
    """The page's HTML.

    Args:
        info: facts of the dataset.
        statistics: of its splits.
        previous: statistics of the dataset before, or None.
        findings: what validation came to.
        entries: the last datasets, this one at the end.
    """
    blocks: list[Block] = [
        _facts(info),
        *_findings(findings),
        *(history_blocks(entries) if entries else ()),
        *_features(statistics, previous),
    ]
    return as_html("Statistics of the dataset", blocks)


def _facts(info: spec.DatasetInfo) -> Table:
    rows = [
        ("users", f"{info.num_users:,}"),
        ("items", f"{info.num_items:,}"),
        ("actions", f"{info.num_actions:,}"),
        ("actions per user", f"{info.num_actions / info.num_users:.2f}"),
        ("actions per item", f"{info.num_actions / info.num_items:.2f}"),
        ("head users", f"{info.num_head_users:,}"),
        ("least length of a head user", f"{info.head_min_length:,}"),
        ("k-core", f"{info.k_core:,}"),
    ]
    rows += [(f"{s} examples", f"{n:,}") for s, n in info.split_examples.items()]
    return Table(("of the dataset", "number"), rows)


def _findings(findings: ValidationResult) -> Iterator[Block]:
    yield Heading(2, "Validation")
    for line in findings.anomalies:
        yield Paragraph(line, "warning")
    for line in findings.allowed:
        yield Paragraph(f"Allowed: {line}", "warning")
    if not (findings.anomalies or findings.allowed):
        yield Paragraph("No anomaly.", "sound")
    if findings.measurements:
        header = (
            "compared",
            "feature",
            "distance",
            "value",
            "threshold",
            "share of it",
        )
        yield Table(header, [_measurement_row(m) for m in findings.measurements])
    else:
        yield Paragraph("No distribution was compared: there are too few examples.")


def _measurement_row(measured: Measurement) -> Sequence[str]:
    share = measured.value / measured.threshold if measured.threshold else 1.0
    return (
        measured.compared,
        measured.feature,
        measured.measure,
        f"{measured.value:.4g}",
        f"{measured.threshold:.4g}",
        f"{share:.0%}",
    )


def _features(statistics: Statistics, previous: Statistics | None) -> Iterator[Block]:
    names = sorted(
        {
            feature.path.step[0]
            for split in statistics.values()
            for dataset in split.datasets
            for feature in dataset.features
        }
    )
    for name in names:
        yield Heading(2, name)
        yield from _feature_blocks(name, statistics, previous)


def _feature_blocks(
    name: str, statistics: Statistics, previous: Statistics | None
) -> Iterator[Block]:
    sources = [(split, statistics[split]) for split in spec.SPLITS]
    if previous is not None:
        sources += [(f"{split}, previous", previous[split]) for split in spec.SPLITS]
    numeric: list[Sequence[str]] = []
    text: list[Sequence[str]] = []
    ranges: dict[str, list[Range]] = {}
    for label, source in sources:
        for feature in _find(name, source):
            if feature.HasField("num_stats"):
                numeric.append(_numeric_row(label, feature.num_stats))
                ranges[label] = _ranges(feature.num_stats)
            elif feature.type == feature.INT:
                counts = _value_counts(feature.string_stats)
                numeric.append(_category_row(label, feature.string_stats, counts))
                ranges[label] = _bars(counts)
            else:
                text.append(_text_row(label, feature.string_stats))
    if numeric:
        plot = histogram({label: bars for label, bars in ranges.items() if bars})
        title = f"{name}, share of values"
        yield Figure(title, plot, Table(_NUMERIC_HEADER, numeric))
    if text:
        yield Table(_TEXT_HEADER, text)


_NUMERIC_HEADER = (
    "split",
    "examples",
    "missing",
    "values each",
    "mean",
    "min",
    "median",
    "max",
)
_TEXT_HEADER = (
    "split",
    "examples",
    "missing",
    "distinct (about)",
    "invalid UTF-8",
)


def _find(
    name: str, statistics: statistics_pb2.DatasetFeatureStatisticsList
) -> Iterator[statistics_pb2.FeatureNameStatistics]:
    for dataset in statistics.datasets:
        for feature in dataset.features:
            if feature.path.step[0] == name:
                yield feature


def _numeric_row(label: str, stats: statistics_pb2.NumericStatistics) -> Sequence[str]:
    common = stats.common_stats
    return (
        *_counts(label, common),
        f"{common.min_num_values:,} to {common.max_num_values:,}",
        f"{stats.mean:,.2f}",
        f"{stats.min:,.0f}",
        f"{stats.median:,.0f}",
        f"{stats.max:,.0f}",
    )


def _ranges(stats: statistics_pb2.NumericStatistics) -> list[Range]:
    return [
        (bucket.low_value, bucket.high_value, bucket.sample_count)
        for histogram in stats.histograms
        if histogram.type == histogram.STANDARD
        for bucket in histogram.buckets
    ]


def _value_counts(stats: statistics_pb2.StringStatistics) -> list[tuple[int, float]]:
    """Values of a categorical integer, in order, and how often each is there."""
    return sorted((int(b.label), b.sample_count) for b in stats.rank_histogram.buckets)


def _category_row(
    label: str,
    stats: statistics_pb2.StringStatistics,
    counts: Sequence[tuple[int, float]],
) -> Sequence[str]:
    """The row of a categorical integer, whose every value is counted."""
    common = stats.common_stats
    if not counts:
        return (*_counts(label, common), "", "", "", "", "")
    total = sum(count for _, count in counts)
    running = itertools.accumulate(count for _, count in counts)
    median = next(
        value
        for (value, _), below in zip(counts, running, strict=True)
        if below >= total / 2
    )
    return (
        *_counts(label, common),
        f"{common.min_num_values:,} to {common.max_num_values:,}",
        f"{sum(value * count for value, count in counts) / total:,.2f}",
        f"{counts[0][0]:,}",
        f"{median:,}",
        f"{counts[-1][0]:,}",
    )


def _bars(counts: Sequence[tuple[int, float]]) -> list[Range]:
    """Ranges of equal width, at most `_MAX_BARS` of them."""
    if not counts:
        return []
    lowest, highest = counts[0][0], counts[-1][0]
    width = -(-(highest - lowest + 1) // _MAX_BARS)
    heights: Counter[int] = Counter()
    for value, count in counts:
        heights[(value - lowest) // width] += round(count)
    return [
        (lowest + n * width, lowest + (n + 1) * width - 1, heights[n])
        for n in range(max(heights) + 1)
    ]


def _text_row(label: str, stats: statistics_pb2.StringStatistics) -> Sequence[str]:
    return (
        *_counts(label, stats.common_stats),
        f"{stats.unique:,}",
        f"{stats.invalid_utf8_count:,}",
    )


def _counts(label: str, common: statistics_pb2.CommonStatistics) -> Sequence[str]:
    return (label, f"{common.num_non_missing:,}", f"{common.num_missing:,}")
