"""Operations that a version needs beyond TensorFlow's own."""

from __future__ import annotations

import json
from pathlib import Path

from grpc import StatusCode

from serving.status import StatusError


def load(manifest: Path) -> None:
    """Registers the operations of the packages that a version's manifest names."""
    if not manifest.is_file():
        return
    for package in json.loads(manifest.read_text("utf-8")).get("custom_ops", []):
        try:
            if package != "scann":
                raise ImportError(package)
            # Importing it registers them.
            from scann.scann_ops.py import scann_ops as scann_ops
        except ImportError as error:
            raise StatusError(
                StatusCode.FAILED_PRECONDITION,
                f"{manifest}: the version needs the operations of the package "
                f"{package}, which is not installed",
            ) from error
