"""A whole dataset in one `.npz` file, for machines that have no TensorFlow.

The file holds, compressed and without pickles:

* `format_version`, `fingerprint` (of the dataset folder), `info` (JSON of
  `DatasetInfo`), scalars;
* `item_counts` int64 [V], line n of `item_counts.txt` at index n - 1;
* of each split, with the split's name and a slash before it: `values`, `offsets`,
  `target_ids`, `is_head`, `sequence_lengths` as in `Sequences`, and the user ids as
  `user_id_bytes` uint8, one after the other, cut at `user_id_offsets` int64 [N + 1].
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from s4rec_tf import spec
from s4rec_tf.atomic_files import replaced
from s4rec_tf.data.sequences import Sequences

_COLUMNS: dict[str, type] = {
    "values": np.int32,
    "offsets": np.int64,
    "target_ids": np.int32,
    "is_head": np.bool_,
    "sequence_lengths": np.int32,
    "user_id_bytes": np.uint8,
    "user_id_offsets": np.int64,
}


@dataclasses.dataclass(frozen=True)
class ArrayDataset:
    """A dataset as arrays.

    Attributes:
        info: the dataset's facts.
        item_counts: actions on item n at index n - 1, all splits, int64 [V].
        splits: the users of every split.
        identity: fingerprint of the dataset folder.
    """

    info: spec.DatasetInfo
    item_counts: np.ndarray
    splits: dict[str, Sequences]
    identity: str

    def fingerprint(self) -> str:
        """The identity of the dataset folder that the arrays were taken from."""
        return self.identity


def write_arrays(path: Path, dataset: ArrayDataset) -> None:
    """Writes the file; an interrupted call leaves what was there.

    Raises:
        OSError: if it cannot be written.
    """
    arrays: dict[str, Any] = {
        "format_version": np.asarray(spec.FORMAT_VERSION),
        "fingerprint": np.asarray(dataset.identity),
        "info": np.asarray(json.dumps(dataclasses.asdict(dataset.info))),
        "item_counts": dataset.item_counts.astype(np.int64),
    }
    for split, sequences in dataset.splits.items():
        for name, values in _columns(sequences).items():
            arrays[f"{split}/{name}"] = values.astype(_COLUMNS[name])
    with replaced(path) as stream:
        np.savez_compressed(stream, **arrays)


def read_arrays(path: Path) -> ArrayDataset:
    """Reads and checks the file.

    Raises:
        spec.DatasetError: if it is missing, damaged, of another format, or holds what
            no dataset can.
    """
    if not path.is_file():
        raise spec.DatasetError(f"there is no dataset file {path}")
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise ValueError("it is an .npy file")
        with stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise spec.DatasetError(f"{path} is damaged: {error}") from error
    try:
        return _parse(arrays)
    except ValueError as error:
        raise spec.DatasetError(f"{path}: {error}") from error


def _parse(arrays: dict[str, np.ndarray]) -> ArrayDataset:
    version = int(_array(arrays, "format_version", "iu", 0))
    if version != spec.FORMAT_VERSION:
        raise ValueError(
            f"`format_version` must be {spec.FORMAT_VERSION}. Received: {version}"
        )
    try:
        info = spec.DatasetInfo(**json.loads(str(_array(arrays, "info", "U", 0))))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"`info` must be JSON of a DatasetInfo: {error}") from error
    item_counts = _array(arrays, "item_counts", "i", 1)
    if len(item_counts) != info.num_items or np.any(item_counts < 0):
        raise ValueError(
            f"`item_counts` must hold a number for each of {info.num_items} items. "
            f"Received: {len(item_counts)}, the lowest {item_counts.min(initial=0)}"
        )
    splits = {split: _sequences(arrays, split) for split in spec.SPLITS}
    for split, sequences in splits.items():
        _check_split(split, sequences, info)
    fingerprint = str(_array(arrays, "fingerprint", "U", 0))
    return ArrayDataset(info, item_counts, splits, fingerprint)


def _array(
    arrays: dict[str, np.ndarray], name: str, kinds: str, num_axes: int
) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"it must hold `{name}`. Received: {', '.join(arrays)}")
    array = arrays[name]
    if array.dtype.kind not in kinds or array.ndim != num_axes:
        raise ValueError(
            f"`{name}` must have {num_axes} axes and a type of kind {kinds!r}. "
            f"Received: {array.dtype} {array.shape}"
        )
    return array


def _columns(sequences: Sequences) -> dict[str, np.ndarray]:
    user_ids = [bytes(user_id) for user_id in sequences.user_ids]
    lengths = [len(user_id) for user_id in user_ids]
    return {
        "values": sequences.values,
        "offsets": sequences.offsets,
        "target_ids": sequences.target_ids,
        "is_head": sequences.is_head,
        "sequence_lengths": sequences.sequence_lengths,
        "user_id_bytes": np.frombuffer(b"".join(user_ids), np.uint8),
        "user_id_offsets": np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
    }


def _sequences(arrays: dict[str, np.ndarray], split: str) -> Sequences:
    found: dict[str, Any] = {
        name: _array(arrays, f"{split}/{name}", np.dtype(kind).kind, 1).astype(kind)
        for name, kind in _COLUMNS.items()
    }
    text, ends = found.pop("user_id_bytes"), found.pop("user_id_offsets")
    for name, offsets, total in (
        ("offsets", found["offsets"], len(found["values"])),
        ("user_id_offsets", ends, len(text)),
    ):
        whole = len(offsets) and offsets[0] == 0 and offsets[-1] == total
        if not whole or np.any(np.diff(offsets) < 0):
            raise ValueError(
                f"`{split}/{name}` must rise from 0 to {total}. Received: "
                f"{offsets[:1].tolist()} to {offsets[-1:].tolist()}"
            )
    joined = text.tobytes()
    user_ids = np.empty(len(ends) - 1, object)
    user_ids[:] = [joined[start:end] for start, end in itertools.pairwise(ends)]
    return Sequences(user_ids=user_ids, **found)


def _check_split(split: str, sequences: Sequences, info: spec.DatasetInfo) -> None:
    expected = info.split_examples.get(split)
    for name in ("offsets", "user_ids", "target_ids", "is_head", "sequence_lengths"):
        received = len(getattr(sequences, name)) - (name == "offsets")
        if received != expected:
            raise ValueError(
                f"`{split}/{name}` must be of {expected} users. Received: {received}"
            )
    lowest_target = spec.PAD_ID if split == "train" else 1
    for name, ids, lowest in (
        ("values", sequences.values, 1),
        ("target_ids", sequences.target_ids, lowest_target),
    ):
        wrong = ids[(ids < lowest) | (ids > info.num_items)]
        if len(wrong):
            raise ValueError(
                f"`{split}/{name}` must lie in [{lowest}, {info.num_items}]. "
                f"Received: {wrong[0]}"
            )
