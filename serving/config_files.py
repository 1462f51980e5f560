"""TF Serving's configuration files, in protobuf's text format."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving import config_pb2, metrics
from serving.status import StatusError, invalid_argument


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """How requests are joined; TF Serving's names and defaults.

    Attributes:
        max_batch_size: most rows of a batch, and of a request.
        batch_timeout_micros: how long a batch waits to fill.
        max_enqueued_batches: batches that wait; more are UNAVAILABLE.
        num_batch_threads: batches in work at a time.
        allowed_batch_sizes: sizes that batches are padded to, the last is
            `max_batch_size`; none for any size.
        pad_variable_length_inputs: whether free dimensions may be filled with a
            tensor's first value.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            StatusError: INVALID_ARGUMENT.
        """
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise invalid_argument(
                    f"{name} must be at least 1. Received: {getattr(self, name)}"
                )
        if self.batch_timeout_micros < 0:
            raise invalid_argument(
                "batch_timeout_micros must not be negative. "
                f"Received: {self.batch_timeout_micros}"
            )
        sizes = self.allowed_batch_sizes
        rising = all(0 < a < b for a, b in itertools.pairwise(sizes))
        if sizes and not (rising and sizes[-1] == self.max_batch_size):
            raise invalid_argument(
                "allowed_batch_sizes must rise and end with max_batch_size "
                f"{self.max_batch_size}. Received: {list(sizes)}"
            )


def parse_models(text: str, path: Path) -> Any:
    """A `ModelServerConfig`.

    Raises:
        StatusError: INVALID_ARGUMENT, naming the file.
    """
    from tensorflow_serving.config import model_server_config_pb2

    return _parse(text, model_server_config_pb2.ModelServerConfig(), path)


def read_models(path: Path) -> Any:
    """A `ModelServerConfig` of a file.

    Raises:
        StatusError: INVALID_ARGUMENT, naming the file.
    """
    return parse_models(_read(path), path)


def read_batching(path: Path) -> BatchingParameters:
    """A batching_parameters.txt.

    Raises:
        StatusError: INVALID_ARGUMENT, naming the file.
    """
    message = _parse(_read(path), config_pb2.BatchingParameters(), path)
    given = {
        field.name: getattr(message, field.name).value
        for field in dataclasses.fields(BatchingParameters)
        if field.type == "int" and message.HasField(field.name)
    }
    try:
        return BatchingParameters(
            **given,
            allowed_batch_sizes=tuple(message.allowed_batch_sizes),
            pad_variable_length_inputs=message.pad_variable_length_inputs,
        )
    except StatusError as error:
        raise invalid_argument(f"{path}: {error}") from error


def read_metrics_path(path: Path) -> str | None:
    """Where a monitoring.config wants the metrics; None if it wants none.

    Raises:
        StatusError: INVALID_ARGUMENT, naming the file.
    """
    message = _parse(_read(path), config_pb2.MonitoringConfig(), path)
    if not message.prometheus_config.enable:
        return None
    return message.prometheus_config.path or metrics.DEFAULT_PATH


def read_ssl(path: Path) -> Any:
    """An ssl_config: `server_key`, `server_cert`, `custom_ca`, `client_verify`.

    Raises:
        StatusError: INVALID_ARGUMENT, naming the file.
    """
    message = _parse(_read(path), config_pb2.SSLConfig(), path)
    if not message.server_key or not message.server_cert:
        raise invalid_argument(f"{path}: server_key and server_cert are needed")
    if message.client_verify and not message.custom_ca:
        raise invalid_argument(f"{path}: client_verify needs custom_ca")
    return message


def read_tokens(path: Path) -> tuple[str, ...]:
    """The tokens of a file, one a line; several while one takes another's place.

    Raises:
        StatusError: INVALID_ARGUMENT, naming the file.
    """
    tokens = tuple(line.strip() for line in _read(path).splitlines() if line.strip())
    if not tokens or not all(re.fullmatch(r"[\x21-\x7e]{16,}", t) for t in tokens):
        raise invalid_argument(
            f"{path}: a line must be a token of 16 or more characters, no spaces"
        )
    return tokens


def channel_options(text: str) -> list[tuple[str, int | str]]:
    """`grpc.NAME=VALUE,...` as gRPC takes it.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    options: list[tuple[str, int | str]] = []
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise invalid_argument(
                f"a channel argument must be NAME=VALUE. Received: {part}"
            )
        options.append((name, int(value) if re.fullmatch(r"-?\d+", value) else value))
    return options


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid_argument(f"{path} cannot be read: {error}") from error


def _parse(text: str, message: Any, path: Path) -> Any:
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid_argument(
            f"Invalid protobuf file: '{path}': {_without_values(str(error))}"
        ) from error


def _without_values(reason: str) -> str:
    # The text of an ssl_config holds a private key.
    return reason[:200].split("-----BEGIN")[0]
