"""Operations that a version needs beyond TensorFlow's own."""

from __future__ import annotations

import json
from pathlib import Path

from grpc import StatusCode

from serving.status import StatusError


def load(manifest: Path) -> None:
    """Registers the operations of the packages that a version's manifest names.

    Args:
        manifest: `.meta/N/MANIFEST.json`; nothing is needed where it is missing.

    Raises:
        StatusError: FAILED_PRECONDITION if a package is not known or not installed.
    """
    if not manifest.is_file():
        return
    for package in json.loads(manifest.read_text("utf-8")).get("custom_ops", []):
        try:
            _LOADERS[package]()
        except (KeyError, ImportError) as error:
            raise StatusError(
                StatusCode.FAILED_PRECONDITION,
                f"{manifest}: the version needs the operations of the package "
                f"{package}, which is not installed",
            ) from error


def _load_scann() -> None:
    # Its import registers them.
    from scann.scann_ops.py import scann_ops

    del scann_ops


_LOADERS = {"scann": _load_scann}
