"""The actions of an earlier dataset -> interactions."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_jobs.logs.interactions import Interaction
from beam_jobs.sinks.encoding import parse_example, records_of
from beam_jobs.storage.files import as_path
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401
from beam_jobs.transforms.counting import COUNTS, CountingDoFn


@dataclasses.dataclass(eq=False)
class ReadActions(beam.PTransform):
    """Reads files of `actions/`: outputs `interactions`, `counts`, `errors`.

    Counts `previous_actions`.

    A file whose digest is not that of the manifest is an error.

    Args:
        root: the dataset folder.
        digests: from a file's name below it to the sha256 of its bytes.
    """

    root: Path
    digests: Mapping[str, str]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pbegin: Any) -> beam.pvalue.DoOutputsTuple:
        """The pipeline -> its outputs by tag."""
        return (
            pbegin.pipeline
            | "Files" >> beam.Create(sorted(self.digests.items()))
            | "SpreadFiles" >> beam.Reshuffle()
            | "ReadFile"
            >> beam.ParDo(_ReadFile(str(self.root)))
            .with_output_types(Interaction)
            .with_outputs(COUNTS, "errors", main="interactions")
        )


class _ReadFile(CountingDoFn):
    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = root

    def process(self, file: tuple[str, str]) -> Iterator[object]:
        name, expected = file
        path = as_path(self._root) / name
        content = path.read_bytes()
        received = hashlib.sha256(content).hexdigest()
        if received != expected:
            yield beam.pvalue.TaggedOutput(
                "errors",
                f"{path} is damaged: sha256 must be {expected}. Received: {received}",
            )
            return
        for record in records_of(io.BytesIO(content), str(path)):
            self.counts["previous_actions"] += 1
            yield interaction_of(record)


def interaction_of(record: bytes) -> Interaction:
    """An action's record as an interaction."""
    features = parse_example(record)
    user, item = features["user_id"][0], features["item"][0]
    (timestamp_ms,) = features["timestamp_ms"]
    return Interaction(user.decode(), item.decode(), timestamp_ms)
