"""The command line of `python -m serving.server`; names are TF Serving's."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from serving import limits
from serving.status import StatusError


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads and checks the flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.server",
        allow_abbrev=False,
        description="Serves the newest version under a base path over TF Serving's "
        "gRPC and REST APIs, and swaps when a newer one appears. When ready it prints "
        "one line: serving: grpc=HOST:PORT rest=HOST:PORT model=NAME version=N",
    )
    add = parser.add_argument
    add("--model_name", help="name that requests must use")
    add("--model_base_path", type=Path, help="BASE/NAME, with versions")
    add(
        "--model_config_file",
        type=Path,
        help="models.config, for several models, policies or labels; instead of both",
    )
    add(
        "--model_config_file_poll_wait_seconds",
        type=_count,
        default=0,
        help="pause between two looks at that file; default 0: it is read once",
    )
    add("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1")
    add("--port", type=_port, default=8500, help="gRPC; default 8500; 0: any free")
    add(
        "--rest_api_port",
        type=_port,
        default=8501,
        help="REST; default 8501; 0: any free",
    )
    add(
        "--file_system_poll_wait_seconds",
        type=_positive,
        default=1.0,
        help="pause between two looks for new versions; default 1",
    )
    add(
        "--max_num_load_retries",
        type=_count,
        default=5,
        help="further tries to load a version after a failed one; default 5",
    )
    add(
        "--load_retry_interval_micros",
        type=_count,
        default=60_000_000,
        help="least pause between two tries, in microseconds; default one minute",
    )
    add(
        "--rest_api_timeout_in_ms",
        type=_positive_count,
        default=int(1000 * limits.REST_TIMEOUT_SECONDS),
        help="how long a REST connection may be silent; default 30000",
    )
    add(
        "--monitoring_config_file",
        type=Path,
        help="where metrics are read; by default nowhere",
    )
    add(
        "--enable_batching",
        action="store_true",
        help="join requests to batches, by TensorFlow's own scheduler",
    )
    add("--batching_parameters_file", type=Path, help="how, as for TF Serving")
    add(
        "--max_batch_size",
        type=_positive_count,
        default=limits.DEFAULT_MAX_BATCH_ROWS,
        help=f"most rows of a request; default {limits.DEFAULT_MAX_BATCH_ROWS}",
    )
    _add_load(parser)
    _add_security(parser)
    args = parser.parse_args(argv)
    one_model = (args.model_name, args.model_base_path)
    if args.model_config_file is None and None in one_model:
        parser.error(
            "either --model_config_file or both --model_name and --model_base_path "
            "are needed"
        )
    if args.model_config_file is not None and one_model != (None, None):
        parser.error(
            "--model_config_file stands instead of --model_name and --model_base_path"
        )
    if args.batching_parameters_file is not None and not args.enable_batching:
        parser.error("--batching_parameters_file needs --enable_batching")
    return args


def _add_security(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--ssl_config_file", type=Path, help="TLS of the gRPC port")
    add(
        "--token_file",
        type=Path,
        help="tokens, one a line: a request must bring one (Authorization: Bearer)",
    )
    add(
        "--enable_reload_config_requests",
        action="store_true",
        help="let HandleReloadConfigRequest change what is served",
    )
    add(
        "--enable_grpc_healthcheck_service",
        action="store_true",
        help="answer grpc.health.v1 on the gRPC port",
    )
    add(
        "--grpc_channel_arguments",
        type=_channel_arguments,
        default=[],
        metavar="NAME=VALUE,...",
        help="gRPC's own, such as grpc.max_receive_message_length=1048576",
    )
    add("--grpc_socket_path", default="", help="Unix socket to listen on besides")


def _add_load(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--grpc_max_threads",
        type=_positive_count,
        default=4 * (os.cpu_count() or 1),
        help="calls that are worked on at a time; default four a core",
    )
    add(
        "--max_concurrent_requests",
        type=_positive_count,
        default=1024,
        help="calls in flight; more are shed; default 1024",
    )
    add(
        "--max_requests_per_second",
        type=_positive,
        default=None,
        help="Predict calls over gRPC; more are shed; by default no bound",
    )
    for name in ("intra", "inter"):
        add(
            f"--tensorflow_{name}_op_parallelism",
            type=int,
            default=0,
            help="threads of a session; 0: one a core"
            + ("; -1: the calling thread" if name == "inter" else ""),
        )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 2**16:
        raise argparse.ArgumentTypeError(f"must be in 0..65535. Received: {text}")
    return port


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative. Received: {text}")
    return value


def _positive_count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1. Received: {text}")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0. Received: {text}")
    return value


def _channel_arguments(text: str) -> list[tuple[str, int | str]]:
    from serving import config_files

    try:
        return config_files.channel_options(text)
    except StatusError as error:
        raise argparse.ArgumentTypeError(error.message) from error
