"""Counters of the job: metrics in the engine's console, and elements of the pipeline.

An engine that repeats a lost bundle may count it twice in its metrics. The elements
count every bundle once, so a dataset's own figures come from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows

NAMESPACE = "s4rec"
"""Of the job's counters among an engine's metrics."""

COUNTS = "counts"
"""Tag of the elements that count."""

LARGEST = "largest"
"""Tag of (actions, raw id), the largest of a bundle."""

Count = tuple[str, int]
"""A counter's name and a number to be added. A name with a colon is one bar of a
histogram, such as `days:19000`, and no metric."""


class CountingDoFn(beam.DoFn):
    """Counts while a bundle is processed: `self.counts[name] += 1`.

    At the bundle's end every number becomes a metric and an element tagged `COUNTS`.
    A subclass with a `finish_bundle` of its own yields from `counted()` there.
    """

    def start_bundle(self) -> None:
        """Begins to count."""
        self.counts: Counter[str] = Counter()

    def finish_bundle(self) -> Iterator[beam.pvalue.TaggedOutput]:
        """Gives the bundle's counts."""
        yield from self.counted()

    def counted(self) -> Iterator[beam.pvalue.TaggedOutput]:
        """The counts of the bundle so far, which begin anew."""
        counts, self.counts = self.counts, Counter()
        for name, number in counts.items():
            if ":" not in name:
                Metrics.counter(NAMESPACE, name).inc(number)
            yield in_global_window((name, number), COUNTS)


def in_global_window(element: object, tag: str) -> beam.pvalue.TaggedOutput:
    """An element that a bundle's end may give."""
    return beam.pvalue.TaggedOutput(tag, GlobalWindows.windowed_value(element))


def histogram(counts: dict[str, int], name: str) -> dict[int, int]:
    """The bars of a histogram among counts. Example: {"days:3": 2} -> {3: 2}."""
    prefix = f"{name}:"
    return {
        int(key.removeprefix(prefix)): number
        for key, number in counts.items()
        if key.startswith(prefix)
    }


class SumCounts(beam.PTransform):
    """Counts -> one sum a name."""

    def expand(self, counts: beam.PCollection) -> beam.PCollection:
        """A collection of `Count` -> a collection of `Count`."""
        return counts | "Sum" >> beam.CombinePerKey(sum).with_output_types(Count)
