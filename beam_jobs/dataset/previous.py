"""The dataset that an increment goes on from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from beam_jobs.actions import ACTIONS
from beam_jobs.example_proto import parse_example
from beam_jobs.logs.files import Fingerprint
from beam_jobs.logs.interactions import Interaction
from beam_jobs.logs.selection import Selection
from beam_jobs.records import to_action_line
from beam_jobs.splits import FILES
from beam_jobs.tfrecord_files import read_records
from s4rec_tf.spec import DatasetDir

ORDER_IS_TIME = "order_is_time"
"""Key of `dataset.json`: whether times are positions within a user's sequence."""


class PreviousError(ValueError):
    """A dataset that cannot be gone on from as asked."""


class Previous(NamedTuple):
    """What an increment takes from the dataset before.

    Attributes:
        actions: the files of all its distinct actions.
        inputs: the input files that it and its own predecessors were made from.
    """

    actions: list[Path]
    inputs: list[Fingerprint]


def open_previous(root: Path, selection: Selection) -> Previous:
    """Checks a finished dataset and lists what an increment needs of it.

    Args:
        root: the dataset folder.
        selection: which actions the increment selects. The actions that the dataset
            before left out are not in it, so it must have selected the same.

    Raises:
        DatasetError: if it is unfinished or damaged.
        PreviousError: if it selected other actions, or its logs had no times.
    """
    dataset = DatasetDir(root)
    dataset.verify()
    content: dict[str, Any] = json.loads(dataset.info_file.read_bytes())
    if content.get(ORDER_IS_TIME, False):
        raise PreviousError(
            f"`--previous` {root} was made from logs of sequences, which have no "
            "times; an increment cannot be put in order among them"
        )
    if content["settings"].get("split") == FILES:
        raise PreviousError(
            f"`--previous` {root} was split by files; what its actions were for is not "
            "kept with them"
        )
    names = {"since_ms": "since", "until_ms": "until", "min_rating": "min_rating"}
    for name, flag in names.items():
        there, asked = content["settings"][name], getattr(selection, name)
        if there != asked:
            raise PreviousError(
                f"`--{flag}` must be as in `--previous` {root}, which kept no other "
                f"actions: {there!r} there. Received: {asked!r}"
            )
    return Previous(
        sorted((root / ACTIONS).glob("*.tfrecord.gz")),
        [Fingerprint(**entry) for entry in content["inputs"]],
    )


def read_actions(path: Path) -> Iterator[bytes]:
    """The actions of a file as action lines.

    Raises:
        DamagedRecords: if the file is damaged.
    """
    return map(_line_of_record, read_records(path))


def _line_of_record(record: bytes) -> bytes:
    features = parse_example(record)
    user, item = features["user_id"][0], features["item"][0]
    (timestamp_ms,) = features["timestamp_ms"]
    return to_action_line(Interaction(user.decode(), item.decode(), timestamp_ms))
