"""The lists of what is to be erased."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class ErasureError(ValueError):
    """A list that cannot be read."""


class Erasure(NamedTuple):
    """Files that list, one raw id a line, whose actions are dropped; None for none."""

    users: Path | None = None
    items: Path | None = None

    def check(self) -> None:
        """Opens both lists.

        Raises:
            ErasureError: naming a file that cannot be read.
        """
        for flag, path in (("erase_users", self.users), ("erase_items", self.items)):
            try:
                if path is not None:
                    with path.open("rb"):
                        pass
            except OSError as error:
                reason = error.strerror or error
                raise ErasureError(
                    f"`--{flag}` {path} cannot be read: {reason}"
                ) from error

    @property
    def is_empty(self) -> bool:
        """Whether nothing is listed at all."""
        return self.users is None and self.items is None
