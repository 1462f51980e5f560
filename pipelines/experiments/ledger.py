"""The ledger of finished experiments: one JSON object a line, appended whole or not."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from s4rec_tf.atomic_files import write_bytes

DEFAULT_LEDGER = Path("docs/results/runs.jsonl")

IDENTITY = (
    "dataset",
    "model",
    "config",
    "settings",
    "variant",
    "seed",
    "data_fingerprint",
)
"""Fields that make two lines the same run."""

FIELDS = (
    *IDENTITY[:6],
    *("valid", "test", "epochs", "minutes", "machine", "code_version"),
    *(IDENTITY[6], "analysis"),
)
"""Fields of a line, in their order.

`valid` and `test` are metrics of `s4rec_tf.evaluate`, `analysis` is what
`s4rec_tf.analyze` found on test; `minutes` is the time spent in
training epochs, without validation.
"""

Entry = Mapping[str, Any]


class LedgerError(ValueError):
    """A ledger with a line that is no finished run."""


def identity(entry: Entry) -> str:
    """The key that two entries share if and only if they are of the same run."""
    return json.dumps({name: entry[name] for name in IDENTITY}, sort_keys=True)


def key(entry: Entry) -> str:
    """A file name for what belongs to the run: readable, and a hash of its identity."""
    return file_name(entry, identity(entry))


def file_name(entry: Entry, identified_by: str) -> str:
    """A readable name of a run, ending with a hash.

    Args:
        entry: has the fields `dataset`, `config`, `model`, `variant` and `seed`.
        identified_by: what the hash is of.
    """
    parts = [entry[name] for name in ("dataset", "model", "config", "variant")]
    digest = hashlib.sha256(identified_by.encode()).hexdigest()[:10]
    name = "-".join([*parts, f"seed{entry['seed']}", digest])
    return re.sub(r"[^A-Za-z0-9_.=+-]", "_", name)


def ranks_file(ledger: Path, entry: Entry) -> Path:
    """The file of a run's ranks, beside the ledger."""
    return ledger.parent / "ranks" / f"{key(entry)}.npz"


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a ledger, in order; none if there is no file.

    Raises:
        LedgerError: naming the first line that is no entry. A last line without its
            end, left by a machine that went down, is no line yet.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [_parse(line, f"{path}, line {n}") for n, line in enumerate(lines, 1)]


def append(path: Path, entry: Entry) -> bool:
    """Adds a finished run, unless it is there; safe beside other processes.

    Returns:
        Whether the entry was added.

    Raises:
        LedgerError: if a line of the ledger is none, or `entry` has other fields.
    """
    line = json.dumps({name: entry[name] for name in FIELDS}, allow_nan=False)
    _parse(line.encode(), "the new entry")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if identity(entry) in {identity(known) for known in read(path)}:
            return False
        _drop_unfinished_line(stream)
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return True


def collect(source: Path, target: Path) -> tuple[int, int]:
    """Takes the entries of another ledger, and their ranks, into this one.

    Args:
        source: a ledger with the ranks of all its runs beside it.
        target: this ledger.

    Returns:
        how many entries were added, and how many were there already.

    Raises:
        LedgerError: if `source` is missing, a line of either is none, or ranks are
            missing; then nothing is taken.
    """
    if not source.is_file():
        raise LedgerError(f"there is no ledger {source}")
    entries = read(source)
    for entry in entries:
        if not ranks_file(source, entry).is_file():
            raise LedgerError(f"{ranks_file(source, entry)} is missing")
    known = {identity(entry) for entry in read(target)}
    new = [entry for entry in entries if identity(entry) not in known]
    for entry in new:
        ranks = ranks_file(target, entry)
        ranks.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(ranks, ranks_file(source, entry).read_bytes())
        append(target, entry)
    return len(new), len(entries) - len(new)


def _drop_unfinished_line(stream: BinaryIO) -> None:
    stream.seek(0)
    content = stream.read()
    stream.truncate(content.rfind(b"\n") + 1)
    stream.seek(0, os.SEEK_END)


def _parse(line: bytes, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        raise LedgerError(f"{place} is no JSON object. Received: {line!r}") from None
    fields = sorted(entry) if isinstance(entry, dict) else entry
    if fields != sorted(FIELDS):
        raise LedgerError(
            f"{place} must have the fields {', '.join(FIELDS)}. Received: {fields}"
        )
    return dict(entry)
