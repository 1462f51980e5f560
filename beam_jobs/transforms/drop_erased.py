"""Interactions without those of erased users and items."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam

from beam_jobs.logs.interactions import Interaction
from beam_jobs.transforms.counting import CountingDoFn
from beam_jobs.transforms.singletons import OncePerObject, id_set


@dataclasses.dataclass(eq=False)
class DropErased(beam.PTransform):
    """Drops the interactions of listed users and items.

    Counts `erased`.

    Args:
        users: file of raw user ids, one a line; None for none.
        items: file of raw item ids, likewise.
    """

    users: Path | None = None
    items: Path | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, interactions: beam.PCollection) -> beam.PCollection:
        """`Interaction`s -> those left, and `counts`."""
        lists = [
            beam.pvalue.AsSingleton(
                interactions.pipeline
                | f"{name}ToErase" >> beam.Create([None if path is None else str(path)])
                | f"Read{name}ToErase" >> beam.Map(read_lines)
            )
            for name, path in (("Users", self.users), ("Items", self.items))
        ]
        return interactions | "DropListed" >> beam.ParDo(
            _DropListed(), *lists
        ).with_outputs("counts", main="interactions")


def read_lines(path: str | None) -> bytes:
    """A list's ids, a line each with its end; carriage returns are dropped."""
    from beam_jobs.storage.files import as_path

    if path is None:
        return b""
    return as_path(path).read_bytes().replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"


class _DropListed(CountingDoFn):
    def start_bundle(self) -> None:
        super().start_bundle()
        self._users, self._items = OncePerObject(id_set), OncePerObject(id_set)

    def process(
        self, interaction: Interaction, users: bytes, items: bytes
    ) -> Iterator[Interaction]:
        is_erased = interaction.user.encode() in self._users(users)
        if is_erased or interaction.item.encode() in self._items(items):
            self.counts["erased"] += 1
        else:
            yield interaction
