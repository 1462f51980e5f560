"""Collections of one element, which every worker reads as a side input."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

_ELEMENTS_AT_ONCE = 2000

Made = TypeVar("Made")


@dataclasses.dataclass(eq=False)
class CombineOnOneWorker(beam.PTransform):
    """Combines all elements to one value, also where there is none.

    For values that hold all elements. `CombineGlobally` groups them by a key, and an
    engine may sort what it groups: a large value then fits no sort buffer of Flink.

    Args:
        combiner: makes the value.
    """

    combiner: beam.CombineFn

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """A collection -> a collection of one value."""
        packed = elements | "Pack" >> beam.ParDo(_PackLists())
        return (
            elements.pipeline
            | "Once" >> beam.Create([None])
            | "Combine" >> beam.Map(_combine, self.combiner, beam.pvalue.AsIter(packed))
        )


class _PackLists(beam.DoFn):
    """Elements -> lists of a few thousand."""

    def start_bundle(self) -> None:
        self._elements: list[Any] = []

    def process(self, element: Any) -> Iterator[list[Any]]:
        self._elements.append(element)
        if len(self._elements) == _ELEMENTS_AT_ONCE:
            yield self._elements
            self._elements = []

    def finish_bundle(self) -> Iterator[Any]:
        if self._elements:
            yield GlobalWindows.windowed_value(self._elements)


def _combine(_: None, combiner: beam.CombineFn, lists: Iterable[list[Any]]) -> Any:
    accumulator = combiner.create_accumulator()
    for element in itertools.chain.from_iterable(lists):
        accumulator = combiner.add_input(accumulator, element)
    return combiner.extract_output(accumulator)


class OncePerObject(Generic[Made]):
    """Calls a function again only for another object than the last time.

    A cache by value compares the bytes of large side inputs at every call, once a
    second bundle has got a copy.

    Args:
        make: the function.
    """

    def __init__(self, make: Callable[[bytes], Made]) -> None:
        self._make = make
        self._last: tuple[bytes, Made] | None = None

    def __call__(self, value: bytes) -> Made:
        """Returns the function's result for a value."""
        if self._last is None or self._last[0] is not value:
            self._last = value, self._make(value)
        return self._last[1]


@functools.lru_cache(maxsize=4)
def id_set(lines: bytes) -> frozenset[bytes]:
    """The ids of lines; built once by a worker process."""
    return frozenset(lines.split(b"\n")[:-1])
