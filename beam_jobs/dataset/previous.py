"""The dataset that an increment goes on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from beam_jobs.layout import ACTIONS
from beam_jobs.logs.selection import Selection
from beam_jobs.splits import FILES
from beam_jobs.transforms.group_by_user import Ties
from s4rec_tf.spec import SPLITS, DamagedFile, DatasetDir, DatasetError, sha256_of_file

ORDER_IS_TIME = "order_is_time"
"""Key of `dataset.json`: whether times are positions within a user's sequence."""


_PACKED_FACTOR = 4
"""Unpacked size of a file of actions over its packed size, roughly."""


class PreviousError(ValueError):
    """A dataset that cannot be gone on from as asked."""


class Previous(NamedTuple):
    """The parts of the dataset before that an increment reads.

    Attributes:
        actions: sha256 of the files of all its distinct actions, by name.
        unpacked_bytes: about what they unpack to.
        inputs: the input files that it and its own predecessors were made from.
        ties: how it ordered a user's actions of one time.
    """

    actions: dict[str, str]
    unpacked_bytes: int
    inputs: list[dict[str, Any]]
    ties: Ties


def check_lightly(dataset: DatasetDir) -> dict[str, Any]:
    """The manifest of a dataset whose files are there in their size.

    Those that this process reads itself are held to their digest; workers hold the
    files of actions to theirs.

    Raises:
        DatasetError: if it is unfinished, or naming a file that is not as it was.
    """
    manifest = dataset.read_manifest()
    for name, entry in sorted(manifest["files"].items()):
        path = dataset.root / name
        if not path.is_file():
            raise DatasetError(f"{dataset.root}: {name} is missing")
        is_bulk = name.startswith((*SPLITS, ACTIONS))
        field = "bytes" if is_bulk else "sha256"
        received = path.stat().st_size if is_bulk else sha256_of_file(path)
        if received != entry[field]:
            raise DamagedFile(
                path,
                f"{path} is damaged: {field} must be {entry[field]}. "
                f"Received: {received}",
            )
    return manifest


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
    manifest = check_lightly(dataset)
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
    actions = {
        name: entry
        for name, entry in manifest["files"].items()
        if name.startswith(f"{ACTIONS}/")
    }
    return Previous(
        {name: entry["sha256"] for name, entry in actions.items()},
        _PACKED_FACTOR * sum(entry["bytes"] for entry in actions.values()),
        content["inputs"],
        content["settings"].get("ties", "item_id"),
    )
