"""The files that a version's folder must hold before it may answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from s4rec_tf import operations, spec
from serving import limits
from serving.status import StatusError, invalid

Manifest = Mapping[str, Any]
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def warmup_requests(path: Path) -> list[predict_pb2.PredictRequest]:
    """The Predict requests among a version's warm-up records; none without a file."""
    file = path / WARMUP_FILE
    if not file.is_file():
        return []
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    if len(records) > limits.MAX_WARMUP_RECORDS:
        raise invalid(
            f"{file}: {limits.MAX_WARMUP_RECORDS} warm-up records at most. "
            f"Received: {len(records)}"
        )
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    return [log.predict_log.request for log in logs if log.HasField("predict_log")]


def manifest_of(path: Path) -> Manifest | None:
    """The manifest that an export wrote beside a version; None without one."""
    file = path.parent / ".meta" / path.name / spec.MANIFEST_NAME
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def verify(path: Path, manifest: Manifest | None) -> None:
    """Checks files, operations and weights; registers the operations of packages."""
    _verify_digests(path, manifest or {})
    _verify_operations(path, manifest is not None)
    _verify_weights(path)
    _load_operations(path, manifest or {})


def _verify_digests(path: Path, manifest: Manifest) -> None:
    for name, entry in manifest.get("files", {}).items():
        file = path / name
        if not file.is_file():
            raise StatusError(StatusCode.DATA_LOSS, f"{file} is missing")
        if spec.sha256_of_file(file) != entry["sha256"]:
            raise StatusError(StatusCode.DATA_LOSS, f"{file} differs from its manifest")


def _verify_operations(path: Path, is_export: bool) -> None:
    """Refuses a version whose graph could reach out of the process.

    An export with a manifest may hold the operations of exports alone, any other
    SavedModel all but those for files, connections and Python.
    """
    try:
        found = operations.reachable_operations(path)
    except (OSError, ValueError):
        return  # The loader says what is wrong with the file.
    refused = found - operations.EXPORTED if is_export else set()
    if refused := refused | (found & operations.REACHING_OUT):
        raise StatusError(
            StatusCode.FAILED_PRECONDITION,
            f"{path}: the graph must not hold operations that could reach out of it. "
            f"Received: {', '.join(sorted(refused))}",
        )


def _verify_weights(path: Path) -> None:
    """Refuses a weight that is NaN or infinite; warm-up answers show few of them."""
    if not (path / "variables" / "variables.index").is_file():
        return
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    for name, dtype in reader.get_variable_to_dtype_map().items():
        if dtype.is_floating and not np.isfinite(reader.get_tensor(name)).all():
            text = f"{path}: variable {name} is not finite"
            raise StatusError(StatusCode.DATA_LOSS, text)


def _load_operations(path: Path, manifest: Manifest) -> None:
    """Registers ScaNN's operations if the version needs them."""
    if "scann" not in manifest.get("custom_ops", []):
        return
    try:
        # Importing it registers them.
        from scann.scann_ops.py import scann_ops as scann_ops
    except ImportError as error:
        raise StatusError(
            StatusCode.FAILED_PRECONDITION,
            f"{path}: the version needs the operations of the package scann, which is "
            "not installed",
        ) from error
