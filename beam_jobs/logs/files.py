"""Files of raw logs: patterns, and the bound of a line."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from beam_jobs.storage.remote_path import is_remote, matching

MAX_LINE_BYTES = 32 << 20
"""A longer line is a damaged one; only a user's whole sequence comes near."""


class InputError(ValueError):
    """An input that cannot be read at all, as opposed to one bad line."""


def match_files(patterns: Sequence[str]) -> list[str]:
    """The files that match any of the patterns, each once, directories left out.

    Raises:
        InputError: naming a pattern without a match.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        files = matching(pattern) if is_remote(pattern) else _local_files(pattern)
        if not files:
            raise InputError(f"`--input` matches no file. Received: {pattern!r}")
        for path in files:
            identity = path if is_remote(path) else os.path.realpath(path)
            found.setdefault(identity, path)
    return sorted(found.values())


def _local_files(pattern: str) -> list[str]:
    matches = [pattern] if os.path.isfile(pattern) else glob.glob(pattern)
    return [path for path in matches if os.path.isfile(path)]
