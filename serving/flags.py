"""The command line of `python -m serving.server`; names are TF Serving's."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from serving import limits

# Name, type, default, help.
_FLAGS = f"""
model_name str default name that requests must use
model_base_path path - BASE/NAME, with versions
model_config_file path - models.config, instead of the two above
model_config_file_poll_wait_seconds seconds 0 pause between two looks at it; 0: one look
file_system_poll_wait_seconds float 1 pause between two looks for versions; 0: one look
max_num_load_retries retries 5 further loads of a version after a failed one; -1: any
load_retry_interval_micros micros 60000000 least pause between two loads
enable_model_warmup bool true run a version's warm-up records
saved_model_tags str serve tags of the graph to load, comma-separated
allow_version_labels_for_unavailable_models bool false if no version has the label
force_allow_any_version_labels_for_unavailable_models bool false in any case
host str 127.0.0.1 address to listen on
port port 8500 gRPC; 0: any free one
rest_api_port port 8501 REST; 0: any free one
rest_api_timeout_in_ms count 30000 longest pause with a REST request's head, and answer
rest_api_enable_cors_support bool false answer pages of any origin
grpc_socket_path str - Unix socket to listen on as well
grpc_channel_arguments channel - NAME=VALUE,... of gRPC, as grpc.so_reuseport=1
monitoring_config_file path - path of the metrics page; without it there is none
enable_grpc_healthcheck_service bool false answer grpc.health.v1
enable_batching bool false join requests by TensorFlow's own scheduler
batching_parameters_file path - its parameters, as for TF Serving
max_batch_size count {limits.DEFAULT_MAX_BATCH_ROWS} most rows of a request
grpc_max_threads count {4 * (os.cpu_count() or 1)} calls of both ports that run
max_concurrent_requests count 1024 calls in flight; further ones are refused
tensorflow_intra_op_parallelism int 0 threads inside an operation; 0: one a core
tensorflow_inter_op_parallelism int 0 threads between operations; 0: one a core
tensorflow_session_parallelism int 0 both of them
ssl_config_file path - TLS of the gRPC port
use_alts_credentials bool false ALTS of the gRPC port, on Google Cloud
token_file path - tokens, one a line, of which a request must bring one (Bearer)
ui bool false a page at /ui/ to try the models in a browser
enable_reload_config_requests bool false let HandleReloadConfigRequest replace models
reload_root paths - base paths of a reload lie below it (repeatable), or where those are
"""
NO_EFFECT = {
    "enable_per_model_batching_parameters": "all models share the batching parameters",
    "enable_profiler": "there is no profiler service",
    "enable_serialization_as_tensor_content": "numbers are written in typed fields",
    "enable_signature_method_name_check": "Predict answers any signature",
    "flush_filesystem_caches": "files are not read again",
    "mixed_precision": "the export determines the precision",
    "num_load_threads": "versions of a model are loaded one after the other",
    "num_request_iterations_for_warmup": "each warm-up record runs once",
    "num_tflite_interpreters_per_pool": "there are no TFLite models",
    "num_tflite_pools": "there are no TFLite models",
    "num_unload_threads": "a version is unloaded when its last request is done",
    "per_process_gpu_memory_fraction": "TensorFlow grows into the GPU's memory",
    "platform_config_file": "tensorflow is the only platform; flags configure it",
    "prefer_tflite_model": "there are no TFLite models",
    "remove_unused_fields_from_bundle_metagraph": "they are kept",
    "rest_api_num_threads": "calls of both ports share --grpc_max_threads",
    "skip_initialize_tpu": "there is no TPU",
    "thread_pool_factory_config_file": "TensorFlow's own thread pools are used",
    "xla_cpu_compilation_enabled": "the export determines what is compiled",
}
"""Flags of TF Serving that are accepted, each with the reason why it has no effect."""


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"must be true or false. Received: {text}")
    return values[text.lower()]


def _number(kind: Any, least: float, most: float = 1e18) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        if not least <= (value := kind(text)) <= most:
            bounds = f"in {least}..{most:.0f}"
            raise argparse.ArgumentTypeError(f"must be {bounds}. Received: {text}")
        return value

    return number


def channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """Parses `grpc.NAME=VALUE,...` into gRPC's own arguments."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    if not all(name and equals for name, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE,... Received: {text}")
    return [(n, int(v) if re.fullmatch(r"-?\d+", v) else v) for n, _, v in pairs]


_TYPES: dict[str, Callable[[str], Any]] = {
    **{"str": str, "int": int, "float": float, "path": Path, "paths": Path},
    "bool": _boolean,
    "port": _number(int, 0, 2**16 - 1),
    "count": _number(int, 1),
    "retries": _number(int, -1),
    "micros": _number(int, 0),
    "seconds": _number(float, 0),
    "channel": channel_arguments,
}


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses and checks the flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.server",
        allow_abbrev=False,
        description="Serves the newest version under a base path over TF Serving's "
        "gRPC and REST APIs, and swaps when a newer one appears. When ready it prints "
        "one line: serving: grpc=HOST:PORT rest=HOST:PORT model=NAME version=N",
    )
    for line in _FLAGS.strip().splitlines():
        name, kind, default, text = line.split(maxsplit=3)
        given = None if default == "-" else default
        # TF Serving takes --name, --name=true and --name=false.
        more: Any = {"nargs": "?", "const": True} if kind == "bool" else {}
        more |= {"action": "append"} if kind == "paths" else {}
        text = f"{text}; default {default}" if given else text
        more |= {"type": _TYPES[kind], "default": given, "metavar": kind, "help": text}
        parser.add_argument(f"--{name}", **more)
    version = f"s4rec-tf {importlib.metadata.version('s4rec-tf')}"
    parser.add_argument("--version", action="version", version=version)
    for name in NO_EFFECT:
        parser.add_argument(f"--{name}", nargs="?", const=True, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def without_effect(args: argparse.Namespace) -> list[str]:
    """A line for each given flag that has no effect here."""
    given = {name: reason for name, reason in NO_EFFECT.items() if vars(args)[name]}
    return [f"--{name} has no effect here: {reason}" for name, reason in given.items()]


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if (args.model_config_file is None) == (args.model_base_path is None):
        parser.error("either --model_config_file or --model_base_path, and not both")
    if args.batching_parameters_file is not None and not args.enable_batching:
        parser.error("--batching_parameters_file needs --enable_batching")
    if args.use_alts_credentials and args.ssl_config_file:
        parser.error("either --use_alts_credentials or --ssl_config_file, and not both")
    unavailable = "allow_version_labels_for_unavailable_models"
    args.unavailable_labels = "new" if getattr(args, unavailable) else "available"
    if args.force_allow_any_version_labels_for_unavailable_models:
        args.unavailable_labels = "any"
    if both := args.tensorflow_session_parallelism:
        args.tensorflow_intra_op_parallelism = both
        args.tensorflow_inter_op_parallelism = both
