"""Collections of one element, which every worker reads as a side input."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import apache_beam as beam


class JoinLines(beam.CombineFn):
    r"""Ids -> one value of bytes, a line each; the order is not defined.

    One value of bytes is decoded once by a worker, a collection element by element.
    """

    def create_accumulator(self) -> list[bytes]:
        """No ids."""
        return []

    def add_input(self, lines: list[bytes], line: bytes) -> list[bytes]:
        """Adds an id."""
        lines.append(line)
        return lines

    def merge_accumulators(self, parts: Iterable[list[bytes]]) -> list[bytes]:
        """All ids."""
        return [line for part in parts for line in part]

    def extract_output(self, lines: list[bytes]) -> bytes:
        """The lines, each with its end."""
        return b"".join(line + b"\n" for line in lines)


def joined(collection: beam.PCollection, label: str) -> Any:
    """A side input: the ids of a collection as bytes, a line each."""
    ids = collection | label >> beam.CombineGlobally(JoinLines()).without_defaults()
    return beam.pvalue.AsSingleton(ids, default_value=b"")


@functools.lru_cache(maxsize=4)
def id_set(lines: bytes) -> frozenset[bytes]:
    """The ids of lines; built once by a worker process."""
    return frozenset(lines.split(b"\n")[:-1])
