"""The statistics of a dataset as one HTML page that needs no network.

TFDV's own viewer loads its components from the internet.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

from tensorflow_metadata.proto.v0 import statistics_pb2

from beam_jobs.dataset.findings import Findings, Measurement, Statistics
from beam_jobs.dataset.history import Entry
from beam_jobs.dataset.history_page import render_history
from beam_jobs.dataset.statistics_table import table
from s4rec_tf import spec

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #d8dee4;
  vertical-align: middle; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; color: #57606a; }
svg { display: block; margin-left: auto; }
circle { fill: #3572b0; } polyline { fill: none; stroke: #3572b0; }
.limit { stroke: #cf222e; stroke-dasharray: 4 3; }
rect { fill: #3572b0; } .other rect { fill: #8c959f; }
.sound { color: #1a7f37; } .anomaly { color: #cf222e; }
"""
_WIDTH, _HEIGHT = 240, 48
_MAX_BARS = 40


def render_page(
    info: spec.DatasetInfo,
    statistics: Statistics,
    previous: Statistics | None,
    findings: Findings,
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
    body = (
        "<h1>Statistics of the dataset</h1>",
        _facts(info),
        *_findings(findings),
        *(render_history(entries) if entries else ()),
        *_features(statistics, previous),
    )
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            "<title>Statistics of the dataset</title>",
            f"<style>{_STYLE}</style></head>\n<body>",
            *body,
            "</body></html>\n",
        )
    )


def _facts(info: spec.DatasetInfo) -> str:
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
    return table((), rows)


def _findings(findings: Findings) -> Iterator[str]:
    yield "<h2>Validation</h2>"
    if findings.anomalies:
        lines = "".join(f"<li>{escape(line)}</li>" for line in findings.anomalies)
        yield f'<ul class="anomaly">{lines}</ul>'
    elif not findings.allowed:
        yield '<p class="sound">No anomaly.</p>'
    if findings.allowed:
        lines = "".join(
            f"<li>Allowed: {escape(line)}</li>" for line in findings.allowed
        )
        yield f'<ul class="anomaly">{lines}</ul>'
    if findings.measurements:
        header = ("compared", "feature", "distance", "value", "threshold", "")
        yield table(header, map(_measurement_row, findings.measurements))
    else:
        yield "<p>No distribution was compared: there are too few examples.</p>"


def _measurement_row(measured: Measurement) -> Sequence[str]:
    share = min(measured.value / measured.threshold, 1) if measured.threshold else 1
    bar = (
        f'<svg width="{_WIDTH // 2}" height="12" role="img">'
        f'<rect width="{_WIDTH / 2 * share:.1f}" height="12"/></svg>'
    )
    return (
        escape(measured.compared),
        escape(measured.feature),
        escape(measured.measure),
        f"{measured.value:.4g}",
        f"{measured.threshold:.4g}",
        bar,
    )


def _features(statistics: Statistics, previous: Statistics | None) -> Iterator[str]:
    names = sorted(
        {
            feature.path.step[0]
            for split in statistics.values()
            for dataset in split.datasets
            for feature in dataset.features
        }
    )
    for name in names:
        yield f"<h2>{escape(name)}</h2>"
        yield from _feature_tables(name, statistics, previous)


def _feature_tables(
    name: str, statistics: Statistics, previous: Statistics | None
) -> Iterator[str]:
    sources = [(split, statistics[split], "") for split in spec.SPLITS]
    if previous is not None:
        sources += [
            (f"{split}, previous", previous[split], "other") for split in spec.SPLITS
        ]
    numeric: list[Sequence[str]] = []
    text: list[Sequence[str]] = []
    for label, source, style in sources:
        for feature in _find(name, source):
            if feature.HasField("num_stats"):
                numeric.append(_numeric_row(label, feature.num_stats, style))
            elif feature.type == feature.INT:
                numeric.append(_category_row(label, feature.string_stats, style))
            else:
                text.append(_text_row(label, feature.string_stats))
    if numeric:
        yield table(_NUMERIC_HEADER, numeric)
    if text:
        yield table(_TEXT_HEADER, text)


_NUMERIC_HEADER = (
    "split",
    "examples",
    "missing",
    "values each",
    "mean",
    "min",
    "median",
    "max",
    "distribution",
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


def _numeric_row(
    label: str, stats: statistics_pb2.NumericStatistics, style: str
) -> Sequence[str]:
    common = stats.common_stats
    bars = [
        (bucket.low_value, bucket.high_value, bucket.sample_count)
        for histogram in stats.histograms
        if histogram.type == histogram.STANDARD
        for bucket in histogram.buckets
    ]
    return (
        *_counts(label, common),
        f"{common.min_num_values:,} to {common.max_num_values:,}",
        f"{stats.mean:,.2f}",
        f"{stats.min:,.0f}",
        f"{stats.median:,.0f}",
        f"{stats.max:,.0f}",
        _histogram(bars, style),
    )


def _category_row(
    label: str, stats: statistics_pb2.StringStatistics, style: str
) -> Sequence[str]:
    """The row of a categorical integer, whose every value is counted."""
    common = stats.common_stats
    counts = sorted(
        (int(b.label), b.sample_count) for b in stats.rank_histogram.buckets
    )
    if not counts:
        return (*_counts(label, common), "", "", "", "", "", "")
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
        _histogram(_bars(counts), style),
    )


def _bars(counts: Sequence[tuple[int, float]]) -> list[tuple[float, float, float]]:
    """Low, high and count of ranges of equal width, at most `_MAX_BARS` of them."""
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


def _histogram(bars: Sequence[tuple[float, float, float]], style: str) -> str:
    """Bars of equal ranges; the range and count of each on hovering."""
    highest = max((count for _, _, count in bars), default=0) or 1
    step = _WIDTH / max(len(bars), 1)
    drawn = []
    for number, (low, high, count) in enumerate(bars):
        height = _HEIGHT * count / highest
        drawn.append(
            f'<rect x="{number * step:.1f}" y="{_HEIGHT - height:.1f}" '
            f'width="{step - 1:.1f}" height="{height:.1f}"><title>'
            f"{low:,.0f} to {high:,.0f}: {count:,.0f}</title></rect>"
        )
    return (
        f'<svg class="{style}" width="{_WIDTH}" height="{_HEIGHT}" role="img">'
        f"{''.join(drawn)}</svg>"
    )
