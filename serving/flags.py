"""The command line of `python -m serving.server`; names are TF Serving's."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from serving import limits
from serving.status import StatusError

MEANS_NOTHING = {
    "rest_api_num_threads": "calls of both ports share --grpc_max_threads",
    "num_load_threads": "versions of a model are loaded one after the other",
    "num_unload_threads": "a version is unloaded when its last request is done",
    "num_request_iterations_for_warmup": "each warm-up record runs once",
    "flush_filesystem_caches": "files are not read again",
    "per_process_gpu_memory_fraction": "TensorFlow grows into the GPU's memory",
    "remove_unused_fields_from_bundle_metagraph": "they are kept",
    "enable_signature_method_name_check": "Predict answers any signature",
    "enable_profiler": "there is no profiler service",
    "xla_cpu_compilation_enabled": "the export says what is compiled",
    "enable_serialization_as_tensor_content": "numbers are written in typed fields",
    "skip_initialize_tpu": "there is no TPU",
}
"""Flags of TF Serving that are accepted, each with why nothing follows from it."""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads and checks the flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.server",
        allow_abbrev=False,
        description="Serves the newest version under a base path over TF Serving's "
        "gRPC and REST APIs, and swaps when a newer one appears. When ready it prints "
        "one line: serving: grpc=HOST:PORT rest=HOST:PORT model=NAME version=N",
    )
    _add_models(parser)
    _add_ports(parser)
    _add_load(parser)
    _add_security(parser)
    for name in MEANS_NOTHING:
        parser.add_argument(f"--{name}", nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def meaningless(args: argparse.Namespace) -> list[str]:
    """A line for each flag that was given and means nothing here."""
    return [
        f"--{name} means nothing here: {reason}"
        for name, reason in MEANS_NOTHING.items()
        if getattr(args, name) is not None
    ]


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if (args.model_config_file is None) == (args.model_base_path is None):
        parser.error(
            "either --model_config_file or --model_base_path is needed, and not both"
        )
    if args.model_config_file is not None and args.model_name is not None:
        parser.error("--model_config_file names its models: --model_name has no place")
    if args.batching_parameters_file is not None and not args.enable_batching:
        parser.error("--batching_parameters_file needs --enable_batching")
    args.model_name = args.model_name or "default"
    if args.tensorflow_session_parallelism:
        args.tensorflow_intra_op_parallelism = args.tensorflow_session_parallelism
        args.tensorflow_inter_op_parallelism = args.tensorflow_session_parallelism


def _add_models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model_name", help="name that requests must use; default: default")
    add("--model_base_path", type=Path, help="BASE/NAME, with versions")
    add(
        "--model_config_file",
        type=Path,
        help="models.config, for several models, policies or labels; instead of both",
    )
    add(
        "--model_config_file_poll_wait_seconds",
        type=_at_least(0),
        default=0,
        help="pause between two looks at that file; default 0: it is read once",
    )
    add(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="pause between two looks for new versions; default 1; 0 or less: one look",
    )
    add(
        "--max_num_load_retries",
        type=_at_least(-1),
        default=5,
        help="further tries to load a version after a failed one; default 5; -1: any",
    )
    add(
        "--load_retry_interval_micros",
        type=_at_least(0),
        default=60_000_000,
        help="least pause between two tries, in microseconds; default one minute",
    )
    _add_switch(parser, "enable_model_warmup", "run a version's warm-up records", True)
    add(
        "--saved_model_tags",
        default="serve",
        help="tags of the graph that is loaded, with commas; default serve",
    )


def _add_ports(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1")
    add("--port", type=_port, default=8500, help="gRPC; default 8500; 0: any free")
    add(
        "--rest_api_port",
        type=_port,
        default=8501,
        help="REST; default 8501; 0: any free",
    )
    add(
        "--rest_api_timeout_in_ms",
        type=_at_least(1),
        default=int(1000 * limits.REST_TIMEOUT_SECONDS),
        help="longest time of a REST request and of the pause before it; default 30000",
    )
    _add_switch(
        parser, "rest_api_enable_cors_support", "let pages of any origin ask (CORS)"
    )
    add("--grpc_socket_path", default="", help="Unix socket to listen on besides")
    add(
        "--grpc_channel_arguments",
        type=_channel_arguments,
        default=[],
        metavar="NAME=VALUE,...",
        help="gRPC's own, such as grpc.max_receive_message_length=1048576",
    )
    add(
        "--monitoring_config_file",
        type=Path,
        help="where metrics are read; by default nowhere",
    )
    _add_switch(
        parser, "enable_grpc_healthcheck_service", "answer grpc.health.v1 (gRPC port)"
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_switch(
        parser, "enable_batching", "join requests, by TensorFlow's own scheduler"
    )
    add("--batching_parameters_file", type=Path, help="how, as for TF Serving")
    add(
        "--max_batch_size",
        type=_at_least(1),
        default=limits.DEFAULT_MAX_BATCH_ROWS,
        help=f"most rows of a request; default {limits.DEFAULT_MAX_BATCH_ROWS}",
    )
    add(
        "--grpc_max_threads",
        type=_at_least(1),
        default=4 * (os.cpu_count() or 1),
        help="calls of both ports that are worked on at a time; default four a core",
    )
    add(
        "--max_concurrent_requests",
        type=_at_least(1),
        default=1024,
        help="calls in flight; more are shed; default 1024",
    )
    add(
        "--max_requests_per_second",
        type=_rate,
        default=None,
        help="Predict calls; more are shed; by default no bound",
    )
    for name in ("intra_op", "inter_op", "session"):
        add(
            f"--tensorflow_{name}_parallelism",
            type=int,
            default=0,
            help="threads of a session; 0: one a core"
            + ("; -1: the calling thread" if name == "inter_op" else ""),
        )


def _add_security(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--ssl_config_file", type=Path, help="TLS of the gRPC port")
    add(
        "--token_file",
        type=Path,
        help="tokens, one a line: a request must bring one (Authorization: Bearer)",
    )
    _add_switch(
        parser,
        "enable_reload_config_requests",
        "let HandleReloadConfigRequest change what is served",
    )
    add(
        "--reload_root",
        type=Path,
        action="append",
        default=[],
        help="folder below which its base paths must lie, may be repeated; by default "
        "the folders that hold the base paths at the start",
    )


def _add_switch(
    parser: argparse.ArgumentParser, name: str, text: str, default: bool = False
) -> None:
    """Adds a flag as TF Serving reads it: `--name`, `--name=true`, `--name=false`."""
    parser.add_argument(
        f"--{name}",
        type=_boolean,
        nargs="?",
        const=True,
        default=default,
        metavar="true|false",
        help=f"{text}; default {str(default).lower()}",
    )


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"must be true or false. Received: {text}")
    return values[text.lower()]


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 2**16:
        raise argparse.ArgumentTypeError(f"must be in 0..65535. Received: {text}")
    return port


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(
                f"must be at least {least}. Received: {text}"
            )
        return value

    return number


def _rate(text: str) -> float:
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
