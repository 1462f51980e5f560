"""The contract between the stages: ids, feature names, and what lies in a folder.

Imported by every package of the project; imports none of them, nor TensorFlow.

Item ids inside the system are integers. Line n (counted from 1) of `item_vocab.txt` is
the raw id of item n. `PAD_ID` 0 is no item: sequences are padded with it on the LEFT.
`MASK_ID` marks an item that an augmentation has masked; it is negative so that the
vocabulary is free to grow.

A dataset folder holds at most one `tf.train.Example` a user in each split. If the last
two actions are left out:

* `train`: `item_ids` is the training part of the sequence: all but the last two
  actions, or all of them for users with fewer than three, who are in no other split.
* `valid`: `item_ids` is the training part, `target_id` the last but one action.
* `test`: `item_ids` is everything before the last action, `target_id` the last.

If time or files divide a sequence: `target_id` is the first action of the validation or
the test, `item_ids` everything before that part. Who has no action for training is in
no split, and who has none in a part has no example of it.

`item_ids` is oldest first and never cut to a model's length, so it is also what a
ranking must exclude. Every example of every split carries `user_id`, `is_head` and
`sequence_length` (the length of the user's full sequence).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1

PAD_ID = 0
MASK_ID = -1

USER_ID = "user_id"
ITEM_IDS = "item_ids"
TARGET_ID = "target_id"
IS_HEAD = "is_head"
SEQUENCE_LENGTH = "sequence_length"

SPLITS = ("train", "valid", "test")
"""Names of the splits, which are also the folders their shards lie in."""

MANIFEST_NAME = "MANIFEST.json"

MAX_VERSION = 2**63 - 1
"""Highest number of a served version."""

SERVED_ITEMS = "assets/item_vocab.txt"
SERVED_TITLES = "assets.extra/item_titles.txt"
"""Files of an exported version: line n is item n's raw id, its title or nothing."""

SERVING_HISTORY = "history"
"""Name of the serving input: raw item ids, string [B, L], left-padded with ""."""


class DatasetError(ValueError):
    """A dataset folder that is missing, unfinished, damaged or of another format."""


class DamagedFile(DatasetError):
    """A file of a dataset that differs from the manifest.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Facts of a dataset that are computed once, by the data job.

    Attributes:
        num_users: users in the dataset.
        num_items: items in the vocabulary; item ids run from 1 to this number.
        num_actions: actions of all users, all splits together.
        num_head_users: users flagged as head, round(head_share * num_users).
        head_share: share of users that is head (S4Rec, section 5.1.1: 0.2).
        head_min_length: length of the shortest head user's full sequence; the rule for
            users outside the dataset.
        k_core: least number of actions of every user and of every item.
        split: how sequences are divided, in a few words.
        split_examples: number of examples in each split.
    """

    num_users: int
    num_items: int
    num_actions: int
    num_head_users: int
    head_share: float
    head_min_length: int
    k_core: int
    split_examples: dict[str, int]
    split: str = "leave_one_out"


@dataclasses.dataclass(frozen=True)
class DatasetDir:
    """Paths inside a dataset folder; the manifest's presence makes it a dataset."""

    root: Path

    @property
    def manifest(self) -> Path:
        """`MANIFEST.json`: format version, counts, sha256 per file; written last."""
        return self.root / MANIFEST_NAME

    @property
    def item_vocab(self) -> Path:
        """`item_vocab.txt`: line n is the raw id of item n."""
        return self.root / "item_vocab.txt"

    @property
    def item_counts(self) -> Path:
        """`item_counts.txt`: line n is the number of actions on item n, all splits."""
        return self.root / "item_counts.txt"

    @property
    def info_file(self) -> Path:
        """`dataset.json`: `DatasetInfo` under "info", the job's settings beside it."""
        return self.root / "dataset.json"

    def shards(self, split: str) -> list[Path]:
        """TFRecord files of a split, in order of name.

        Raises:
            DatasetError: if `split` is not a split's name or has no shard.
        """
        if split not in SPLITS:
            raise DatasetError(
                f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}"
            )
        paths = sorted((self.root / split).glob("*.tfrecord.gz"))
        if not paths:
            raise DatasetError(f"{self.root / split} holds no *.tfrecord.gz file")
        return paths

    def read_manifest(self) -> dict[str, Any]:
        """The manifest of a finished dataset.

        Raises:
            DatasetError: if the folder is missing, unfinished or of another format.
        """
        if not self.root.is_dir():
            raise DatasetError(f"dataset folder {self.root} does not exist")
        if not self.manifest.is_file():
            raise DatasetError(
                f"{self.root} is not a finished dataset: it holds no {MANIFEST_NAME}"
            )
        manifest: dict[str, Any] = json.loads(self.manifest.read_text("utf-8"))
        if manifest.get("format_version") != FORMAT_VERSION:
            raise DatasetError(
                f"{self.root} has format_version {manifest.get('format_version')!r}; "
                f"this version reads {FORMAT_VERSION}"
            )
        return manifest

    def verify(self) -> dict[str, Any]:
        """Reads the manifest and checks every file against its sha256.

        Raises:
            DatasetError: as `read_manifest`, and naming the first file that is missing
                or differs.
        """
        manifest = self.read_manifest()
        for name, entry in sorted(manifest["files"].items()):
            path = self.root / name
            if not path.is_file():
                raise DatasetError(f"{self.root}: {name} is missing")
            received = sha256_of_file(path)
            if received != entry["sha256"]:
                raise DamagedFile(
                    path,
                    f"{path} is damaged: sha256 must be {entry['sha256']}. "
                    f"Received: {received}",
                )
        return manifest

    def info(self) -> DatasetInfo:
        """The dataset's facts."""
        return DatasetInfo(**json.loads(self.info_file.read_text("utf-8"))["info"])

    def vocabulary(self) -> list[str]:
        """Raw item ids in order of item id; element 0 is item 1."""
        # Not read_text, which takes a carriage return inside an id for a new line.
        return self.item_vocab.read_bytes().decode("utf-8").split("\n")[:-1]

    def vocabulary_digest(self, num_items: int) -> str:
        """Hex sha256 of the lines of the first items of `item_vocab.txt`."""
        lines = self.item_vocab.read_bytes().split(b"\n")[:num_items]
        return hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()

    def fingerprint(self) -> str:
        """A digest of the manifest's file digests: the identity of the content."""
        files = self.read_manifest()["files"]
        lines = [
            f"{name} {files[name]['sha256']}\n"
            for name in sorted(files)
            if name.startswith(SPLITS) or name == self.item_vocab.name
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def version_number(name: str) -> int | None:
    """The version number of a folder's name; None if servers ignore the folder.

    As in TF Serving: `00012` is 12, and a version is an int64.
    """
    digits = name.lstrip("0") or "0"
    if not (name.isascii() and name.isdigit()) or len(digits) > len(str(MAX_VERSION)):
        return None
    number = int(digits)
    return number if number <= MAX_VERSION else None


def sha256_of_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
