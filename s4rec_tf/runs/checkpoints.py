"""Checkpoints: one file, replaced whole, holding arrays, a JSON state and a digest."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from s4rec_tf.atomic_files import replaced

_STATE = "state"
_DIGEST = "sha256"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another model."""


class DamagedCheckpoint(CheckpointError):
    """A file that is not what was written."""


def write_checkpoint(path: Path, variables: list[Any], state: dict[str, Any]) -> None:
    """Writes variables and state; an interrupted call leaves the old file whole.

    Args:
        path: the file; its folder must exist.
        variables: Keras variables, in an order that is the same at every start.
        state: JSON-safe.
    """
    arrays = {_key(n): np.asarray(variable) for n, variable in enumerate(variables)}
    arrays[_STATE] = np.asarray(json.dumps(state))
    with replaced(path) as stream:
        np.savez(stream, **{_DIGEST: np.asarray(_digest(arrays))}, **arrays)


def write_newest(
    path: Path, before: Path, variables: list[Any], state: dict[str, Any]
) -> None:
    """Writes a checkpoint as `write_checkpoint` does, and keeps the one before.

    Both old files stay until the new one is whole; one of them is there at any time.

    Args:
        path: receives the new one.
        before: receives what `path` was.
        variables: as for `write_checkpoint`.
        state: as for `write_checkpoint`.
    """
    new = path.with_name(f".{path.name}.new")
    write_checkpoint(new, variables, state)
    if path.is_file():
        os.replace(path, before)
    os.replace(new, path)


def read_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint, without its arrays.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    return _read(path, [])[1]


def read_checkpoint(path: Path, variables: list[Any]) -> dict[str, Any]:
    """Assigns a checkpoint's arrays to variables and returns its state.

    Raises:
        DamagedCheckpoint: if the file is not what was written.
        CheckpointError: if it is missing, or was written from variables of another
            number or shape.
    """
    arrays, state = _read(path, variables)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def _key(number: int) -> str:
    return f"variable_{number:05d}"


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Digest of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape};".encode())
        digest.update(array.view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def _read(path: Path, variables: list[Any]) -> tuple[list[np.ndarray], dict[str, Any]]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = [name for name in stored.files if name != _DIGEST]
            text = stored[_STATE]
            arrays = {name: stored[name] for name in names if variables}
            digest = str(stored[_DIGEST]) if _DIGEST in stored.files else None
        state = json.loads(str(text))
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise DamagedCheckpoint(f"{path} is damaged: {error}") from error
    # Files of earlier versions have no digest, only the sums of the zip file.
    if arrays and digest not in (None, found := _digest(arrays)):
        raise DamagedCheckpoint(
            f"{path} is damaged: its sha256 must be {digest}. Received: {found}"
        )
    return _fitting(path, variables, arrays), state


def _fitting(
    path: Path, variables: list[Any], arrays: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """The arrays in the order of the variables, whose number and shapes they have."""
    if variables and len(arrays) - 1 != len(variables):
        raise CheckpointError(
            f"{path} must hold {len(variables)} variables. Received: {len(arrays) - 1}"
        )
    found = [arrays[_key(number)] for number in range(len(variables))]
    for number, (variable, array) in enumerate(zip(variables, found, strict=True)):
        if tuple(variable.shape) != array.shape:
            raise CheckpointError(
                f"{path}: variable {number} must have shape {tuple(variable.shape)}. "
                f"Received: {array.shape}"
            )
    return found
