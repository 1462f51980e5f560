"""Datasets that hold users, and the runs and versions that were made of these."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from s4rec_tf.spec import MANIFEST_NAME, SPLITS, USER_ID, DatasetDir

META = ".meta"


class HolderError(ValueError):
    """Something that must not be removed yet."""


class Holder(NamedTuple):
    """A thing to remove: its kind, its folder, and a version's folder of meta data."""

    kind: str
    path: Path
    meta: Path | None = None

    def folders(self) -> list[Path]:
        """The paths to remove, in order: the manifest, by which it is found, last."""
        return [self.path] if self.meta is None else [self.path, self.meta]


def holders(folders: Iterable[Path], users: frozenset[bytes]) -> list[Holder]:
    """Datasets with any of the users, and the runs and versions made of them.

    Args:
        folders: looked at with all that lies below.
        users: raw ids.

    Raises:
        HolderError: if one is the newest version of a model, which may be in service.
        DatasetError: if a dataset cannot be read.
    """
    manifests = sorted(
        path for folder in folders for path in folder.rglob(MANIFEST_NAME)
    )
    roots = [path.parent for path in manifests]
    datasets = [root for root in roots if (root / "item_vocab.txt").is_file()]
    found = [Holder("dataset", root) for root in datasets if _holds(root, users)]
    made_of = {DatasetDir(holder.path).fingerprint() for holder in found}
    for root in roots:
        if _read(root).get("dataset_fingerprint") in made_of:
            found.append(_made(root))
    return found


def _holds(root: Path, users: frozenset[bytes]) -> bool:
    return any(user in users for user in _users(root, users))


def _users(root: Path, wanted: frozenset[bytes]) -> Iterator[bytes]:
    """The users of the records that may be of wanted ones, below the core too."""
    from beam_jobs.sinks.encoding import parse_example, read_records

    dataset = DatasetDir(root)
    actions = sorted((root / "actions").glob("*.tfrecord.gz"))
    for path in [*actions, *(shard for s in SPLITS for shard in dataset.shards(s))]:
        for record in read_records(path):
            if any(user in record for user in wanted):
                yield parse_example(record)[USER_ID][0]


def _made(root: Path) -> Holder:
    """The run or version of a manifest's folder."""
    if root.parent.name != META:
        return Holder("run", root)
    base = root.parent.parent
    numbers = [int(path.name) for path in base.iterdir() if path.name.isdecimal()]
    if int(root.name) == max(numbers, default=-1):
        raise HolderError(
            f"{base / root.name} is the newest version, and was trained on these "
            "users. Export one from a dataset without them first (--erase_users of "
            "beam_jobs.prepare_dataset)"
        )
    return Holder("version", base / root.name, root)


def _read(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / MANIFEST_NAME).read_text("utf-8"))
    return content
