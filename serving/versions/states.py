"""Where a version stands, and which versions are wanted."""

from __future__ import annotations

import dataclasses
import enum

from grpc import StatusCode


class State(enum.IntEnum):
    """States of a version, numbered as in TF Serving's GetModelStatus."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True)
class Status:
    """Where a version stands and, after a failed load, why."""

    state: State
    code: StatusCode = StatusCode.OK
    message: str = ""


Identity = frozenset[tuple[int, int, int]]
"""Inode, size and time of all that lies in a version's folder."""


@dataclasses.dataclass
class Failure:
    """Failed loads of one folder with these files."""

    identity: Identity
    loads: int
    retry_at: float


@dataclasses.dataclass(frozen=True)
class Policy:
    """Which versions are wanted.

    Attributes:
        newest: how many, the newest first; None for all.
        only: the numbers that count; None for every number.
    """

    newest: int | None = 1
    only: frozenset[int] | None = None
