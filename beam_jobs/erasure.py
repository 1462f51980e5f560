"""The lists of what is to be erased."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple


class ErasureError(ValueError):
    """A list that cannot be read."""


class Erasure(NamedTuple):
    """Files that list, one raw id a line, whose actions are dropped; None for none."""

    users: Path | None = None
    items: Path | None = None

    def check(self) -> None:
        """Reads both lists, anew even if they were read before.

        Raises:
            ErasureError: naming a file that cannot be read.
        """
        _listed.cache_clear()
        for flag, path in (("erase_users", self.users), ("erase_items", self.items)):
            try:
                _listed(path)
            except OSError as error:
                reason = error.strerror or error
                raise ErasureError(
                    f"`--{flag}` {path} cannot be read: {reason}"
                ) from error

    def concerns(self, line: bytes) -> bool:
        """Whether an action line is to be dropped."""
        user, _, item = line.split(b"\t")
        return user in _listed(self.users) or item in _listed(self.items)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is listed at all."""
        return self.users is None and self.items is None


@functools.lru_cache(maxsize=4)
def _listed(path: Path | None) -> frozenset[bytes]:
    """The ids of a list, read once per worker process and job."""
    if path is None:
        return frozenset()
    return frozenset(line.strip(b"\r") for line in path.read_bytes().split(b"\n"))
