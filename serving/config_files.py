"""TF Serving's configuration files, in protobuf's text format."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving import config_pb2, metrics
from serving.status import invalid


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """Settings of batching; TF Serving's names and defaults."""

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False


_LEAST = {
    "max_batch_size": 1,
    "batch_timeout_micros": 0,
    "max_enqueued_batches": 1,
    "num_batch_threads": 1,
}


def read_models(path: Path, text: str | None = None) -> Any:
    """The `ModelServerConfig` of a file, or of a text that was read from it."""
    from tensorflow_serving.config import model_server_config_pb2

    return _parse(path, model_server_config_pb2.ModelServerConfig(), text)


def read_batching(path: Path | None) -> BatchingParameters:
    """The parameters of a batching_parameters.txt; the defaults without a file."""
    if path is None:
        return BatchingParameters()
    message = _parse(path, config_pb2.BatchingParameters())
    given = {n: getattr(message, n).value for n in _LEAST if message.HasField(n)}
    for name, value in given.items():
        if value < _LEAST[name]:
            least = f"{name} must be at least {_LEAST[name]}"
            raise invalid(f"{path}: {least}. Received: {value}")
    sizes = tuple(message.allowed_batch_sizes)
    most = given.get("max_batch_size", BatchingParameters.max_batch_size)
    is_rising = all(0 < a < b for a, b in itertools.pairwise(sizes))
    if sizes and not (is_rising and sizes[-1] == most):
        raise invalid(
            f"{path}: allowed_batch_sizes must rise and end with max_batch_size "
            f"{most}. Received: {list(sizes)}"
        )
    padded = message.pad_variable_length_inputs
    return BatchingParameters(
        **given, allowed_batch_sizes=sizes, pad_variable_length_inputs=padded
    )


def read_metrics_path(path: Path | None) -> str | None:
    """The path of the metrics page in a monitoring.config; None if there is none."""
    if path is None:
        return None
    config = _parse(path, config_pb2.MonitoringConfig()).prometheus_config
    return (config.path or metrics.DEFAULT_PATH) if config.enable else None


def read_ssl(path: Path) -> Any:
    """An ssl_config: `server_key`, `server_cert`, `custom_ca`, `client_verify`."""
    message = _parse(path, config_pb2.SSLConfig())
    if not message.server_key or not message.server_cert:
        raise invalid(f"{path}: server_key and server_cert are needed")
    if message.client_verify and not message.custom_ca:
        raise invalid(f"{path}: client_verify needs custom_ca")
    return message


def read_tokens(path: Path) -> tuple[str, ...]:
    """The tokens of a file, one a line; several while one replaces another."""
    tokens = tuple(line.strip() for line in _read(path).splitlines() if line.strip())
    if not tokens or not all(re.fullmatch(r"[\x21-\x7e]{16,}", t) for t in tokens):
        raise invalid(
            f"{path}: a line must be a token of 16 or more characters, no spaces"
        )
    return tokens


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(f"{path} cannot be read: {error}") from error


def _parse(path: Path, message: Any, text: str | None = None) -> Any:
    try:
        return text_format.Parse(_read(path) if text is None else text, message)
    except text_format.ParseError as error:
        # The text of an ssl_config holds a private key.
        reason = str(error)[:200].split("-----BEGIN")[0]
        raise invalid(f"Invalid protobuf file: '{path}': {reason}") from error
