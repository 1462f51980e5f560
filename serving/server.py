"""`python -m serving.server`: an embedded server with TF Serving's APIs."""

from __future__ import annotations

import argparse
import functools
import gc
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpc import StatusCode

from serving.flags import parse_args
from serving.status import StatusError
from serving.versions.manager import NoBasePath

if TYPE_CHECKING:
    from serving.versions.manager import VersionManager
    from serving.versions.models import ModelEntry, Models

DRAIN_SECONDS = 20.0
"""How long requests in work may go on after SIGTERM; Kubernetes kills after 30."""

_CONNECTIONS = 65536

log = logging.getLogger("serving")


def serve(args: argparse.Namespace, stop: threading.Event) -> None:
    """Loads, listens, and serves until `stop` is set; then drains.

    Raises:
        StatusError: if a file of settings is wrong, nothing can be served or a port
            cannot be had.
        NoBasePath: if a base path is missing at the start.
    """
    from serving.versions.manager import versions_on_disk
    from serving.versions.models import ConfigFile, Models, entries_of

    # A wrong path fails the command before TensorFlow is imported.
    if args.model_base_path is not None:
        versions_on_disk(args.model_base_path)
    grpc_options, rest_options = _port_options(args)
    from serving.frontends import grpc_service, rest_service
    from serving.frontends.api import ModelApi

    models = Models(_new_manager(args))
    # What is imported stays: looking through it for garbage at each swap would hold up
    # requests for half a second.
    gc.collect()
    gc.freeze()
    try:
        models.replace(_entries(args), stop)
        if stop.is_set():
            return

        def reload(config: Any) -> None:
            try:
                models.replace(entries_of(config), stop)
            except NoBasePath as error:
                raise StatusError(StatusCode.INVALID_ARGUMENT, str(error)) from error

        may_reload = args.enable_reload_config_requests
        api = ModelApi(models, args.max_batch_size, reload if may_reload else None)
        rest = rest_service.RestServer(
            api, args.host, args.rest_api_port, rest_service.RestOptions(**rest_options)
        )
        grpc_server = grpc_service.GrpcServer(
            api, grpc_service.GrpcOptions(**grpc_options)
        )
        grpc_port = grpc_server.start(args.host, args.port)
        rest_port = rest.start()
        if args.model_config_file and args.model_config_file_poll_wait_seconds:
            seconds = float(args.model_config_file_poll_wait_seconds)
            file = ConfigFile(models, args.model_config_file, seconds)
            threading.Thread(target=file.watch, args=[stop], daemon=True).start()
        print(
            f"serving: grpc={args.host}:{grpc_port} rest={args.host}:{rest_port} "
            + _described(models),
            flush=True,
        )
        stop.wait()
        log.info("draining")
        drained = grpc_server.stop(DRAIN_SECONDS)
        rest.drain(DRAIN_SECONDS)
        drained.result()
    finally:
        models.stop()


def _entries(args: argparse.Namespace) -> list[ModelEntry]:
    from serving import config_files
    from serving.versions.models import ModelEntry, entries_of

    if args.model_config_file is None:
        return [ModelEntry(args.model_name, args.model_base_path)]
    return entries_of(config_files.read_models(args.model_config_file))


def _described(models: Models) -> str:
    managers = [(name, models.find(name)) for name in models.names()]
    versions = [str(m.serving_version) for _, m in managers if m is not None]
    return f"model={','.join(models.names())} version={','.join(versions)}"


def _port_options(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the gRPC and the REST port, with the files that flags name read."""
    from serving import config_files as files

    tokens = files.read_tokens(args.token_file) if args.token_file else ()
    for_grpc = {
        "ssl_config": files.read_ssl(args.ssl_config_file)
        if args.ssl_config_file
        else None,
        "tokens": tokens,
        "is_health_offered": args.enable_grpc_healthcheck_service,
        "channel_arguments": tuple(args.grpc_channel_arguments),
        "socket_path": args.grpc_socket_path,
        "threads": args.grpc_max_threads,
        "max_concurrent": args.max_concurrent_requests,
        "max_per_second": args.max_requests_per_second,
    }
    monitoring = args.monitoring_config_file
    for_rest = {
        "tokens": tokens,
        "metrics_path": files.read_metrics_path(monitoring) if monitoring else None,
        "timeout_seconds": args.rest_api_timeout_in_ms / 1000,
    }
    return for_grpc, for_rest


def _new_manager(args: argparse.Namespace) -> Callable[[str, Path], VersionManager]:
    """Makes the versions of a model, with the settings that flags give."""
    from serving import config_files
    from serving.servables.servable import Servable
    from serving.versions.manager import VersionManager

    batching = None
    if args.enable_batching:
        batching = (
            config_files.read_batching(args.batching_parameters_file)
            if args.batching_parameters_file
            else config_files.BatchingParameters()
        )
    threads = (
        args.tensorflow_intra_op_parallelism,
        args.tensorflow_inter_op_parallelism,
    )

    def new(name: str, base_path: Path) -> VersionManager:
        return VersionManager(
            name,
            base_path,
            functools.partial(
                Servable, model_name=name, batching=batching, threads=threads
            ),
            poll_seconds=args.file_system_poll_wait_seconds,
            max_retries=args.max_num_load_retries,
            retry_seconds=args.load_retry_interval_micros / 1e6,
        )

    return new


def _allow_connections() -> None:
    """A crowd of idle clients must not use up the files that a process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, _CONNECTIONS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    # oneDNN prepares a product anew for every size of a batch, which takes longer than
    # the product of the few rows that requests come in.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # The session loader announces its own deprecation at each load.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # gRPC writes a traceback for every message that is no protobuf.
    logging.getLogger("grpc._common").setLevel(logging.CRITICAL)
    _allow_connections()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(args, stop)
    except (StatusError, NoBasePath) as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
