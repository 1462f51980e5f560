"""The files that a version's folder must hold before it may answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from s4rec_tf import operations, spec
from serving import limits
from serving.status import StatusError, invalid

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


def manifest_of(path: Path) -> Path:
    """The place of a version's manifest, if its export wrote one."""
    return path.parent / ".meta" / path.name / spec.MANIFEST_NAME


def verify_digests(path: Path) -> None:
    """Compares a version's files with its manifest, if there is one."""
    manifest = manifest_of(path)
    if not manifest.is_file():
        return
    for name, entry in json.loads(manifest.read_text("utf-8"))["files"].items():
        file = path / name
        if not file.is_file():
            raise StatusError(StatusCode.DATA_LOSS, f"{file} is missing")
        if spec.sha256_of_file(file) != entry["sha256"]:
            raise StatusError(StatusCode.DATA_LOSS, f"{file} differs from its manifest")


def verify_operations(path: Path) -> None:
    """Refuses a version whose graph could reach out of the process.

    An export with a manifest may hold the operations of exports alone, any other
    SavedModel all but those for files, connections and Python.

    Raises:
        StatusError: FAILED_PRECONDITION, naming the operations.
    """
    try:
        found = operations.reachable_operations(path)
    except (OSError, ValueError):
        return  # The loader says what is wrong with the file.
    is_export = manifest_of(path).is_file()
    refused = found - operations.EXPORTED if is_export else set()
    if refused := refused | (found & operations.REACHING_OUT):
        raise StatusError(
            StatusCode.FAILED_PRECONDITION,
            f"{path}: the graph must not hold operations that could reach out of it. "
            f"Received: {', '.join(sorted(refused))}",
        )


def verify_weights(path: Path) -> None:
    """Refuses a weight that is NaN or infinite; warm-up answers show few of them."""
    if not (path / "variables" / "variables.index").is_file():
        return
    try:
        reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        bad = [
            name
            for name, dtype in reader.get_variable_to_dtype_map().items()
            if dtype.is_floating and not np.isfinite(reader.get_tensor(name)).all()
        ]
    except Exception as error:
        # The reader raises many kinds, an IndexError for a file cut short.
        raise StatusError(StatusCode.DATA_LOSS, f"{path}: {error}") from error
    if bad:
        raise StatusError(
            StatusCode.DATA_LOSS, f"{path}: variable {bad[0]} is not finite"
        )
