"""Where a version stands, and which versions are wanted."""

from __future__ import annotations

import dataclasses
import enum

from grpc import StatusCode


class State(enum.IntEnum):
    """States of a version, numbered as in TF Serving's GetModelStatus."""

    LOADING = 20
    AVAILABLE = 30
    END = 50


@dataclasses.dataclass(frozen=True)
class Status:
    """The state of a version and, after a failed load, the reason."""

    state: State
    code: StatusCode = StatusCode.OK
    message: str = ""


@dataclasses.dataclass
class Version:
    """A version that was seen: its status, and the loads of its folder that failed.

    `identity` is the inode, size and time of each of the folder's files.
    """

    status: Status = Status(State.LOADING)
    identity: frozenset[tuple[int, int, int]] | None = None
    failed_loads: int = 0
    retry_at: float = 0.0


@dataclasses.dataclass(frozen=True)
class Policy:
    """The wanted versions: how many of the newest, or None for all; only which ones."""

    newest: int | None = 1
    only: frozenset[int] | None = None
