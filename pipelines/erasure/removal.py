"""Removal of folders so that nobody takes for whole what is half removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from beam_jobs.storage.files import new_file, remote
from beam_jobs.storage.remote_path import delete_below
from s4rec_tf.spec import MANIFEST_NAME

GONE = ".erased-"
"""How the name of a local folder begins while it is removed; in an object store, the
name of an object in the folder, which goes last."""


def remove(folder: Path) -> None:
    """Removes a folder; if stopped, `finish` goes on."""
    if there := remote(folder):
        with new_file(folder / GONE):
            pass
        (folder / MANIFEST_NAME).unlink(missing_ok=True)
        delete_below(there, last=GONE)
        return
    gone = folder.with_name(f"{GONE}{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone)


def finish(folders: Iterable[Path]) -> None:
    """Removes what a stopped removal left."""
    for folder in folders:
        for path in sorted(folder.rglob(f"{GONE}*")):
            if remote(path):
                remove(path.parent)
            else:
                shutil.rmtree(path)
