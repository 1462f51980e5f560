"""Checkpoints: one file, replaced whole, holding arrays and a JSON state."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from s4rec_tf.atomic_files import replaced

_STATE = "state"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another model."""


def write_checkpoint(path: Path, variables: list[Any], state: dict[str, Any]) -> None:
    """Writes variables and state; an interrupted call leaves the old file whole.

    Args:
        path: the file; its folder must exist.
        variables: Keras variables, in an order that is the same at every start.
        state: JSON-safe.
    """
    arrays = {_key(n): np.asarray(variable) for n, variable in enumerate(variables)}
    with replaced(path) as stream:
        np.savez(stream, **{_STATE: np.asarray(json.dumps(state))}, **arrays)


def read_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint, without its arrays.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    return _read(path, [])[1]


def read_checkpoint(path: Path, variables: list[Any]) -> dict[str, Any]:
    """Assigns a checkpoint's arrays to variables and returns its state.

    Raises:
        CheckpointError: if the file is missing or damaged, or was written from
            variables of another number or shape.
    """
    arrays, state = _read(path, variables)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def _key(number: int) -> str:
    return f"variable_{number:05d}"


def _read(path: Path, variables: list[Any]) -> tuple[list[np.ndarray], dict[str, Any]]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = json.loads(str(stored[_STATE]))
            if variables and len(stored.files) - 1 != len(variables):
                raise CheckpointError(
                    f"{path} must hold {len(variables)} variables. "
                    f"Received: {len(stored.files) - 1}"
                )
            arrays = [stored[_key(number)] for number in range(len(variables))]
    except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    except ValueError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged: {error}") from error
    for number, (variable, array) in enumerate(zip(variables, arrays, strict=True)):
        if tuple(variable.shape) != array.shape:
            raise CheckpointError(
                f"{path}: variable {number} must have shape {tuple(variable.shape)}. "
                f"Received: {array.shape}"
            )
    return arrays, state
