"""`python -m serving.server`: an embedded server with TF Serving's APIs."""

from __future__ import annotations

import argparse
import contextlib
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
from typing import TYPE_CHECKING

from s4rec_tf.exit_codes import ExitCode
from serving.flags import meaningless, parse_args
from serving.status import StatusError
from serving.versions.manager import versions_on_disk

if TYPE_CHECKING:
    from serving.frontends.ports import Ports
    from serving.versions.manager import VersionManager
    from serving.versions.models import ModelEntry, Models

DRAIN_SECONDS = 20.0
"""How long requests in flight may go on after SIGTERM; Kubernetes kills after 30."""

_CONNECTIONS = 65536

log = logging.getLogger("serving")


def serve(args: argparse.Namespace, stop: threading.Event) -> None:
    """Loads, listens, and serves until `stop` is set; then drains.

    Raises:
        StatusError: if a file of settings is wrong, a base path is missing, nothing can
            be served or a port cannot be had.
    """
    from serving.frontends import addresses
    from serving.versions.models import Models

    for line in meaningless(args):
        log.warning("%s", line)
    # What is wrong here fails the command before TensorFlow is imported.
    entries = _entries(args)
    for entry in entries:
        versions_on_disk(entry.base_path)
    addresses.check(args.host, args.port, "gRPC")
    addresses.check(args.host, args.rest_api_port, "REST")
    with contextlib.ExitStack() as stack:
        models = Models(_new_manager(args))
        ports = _ports(args, models, entries, stop, stack)
        # What is imported stays: looking through it for garbage at each swap would
        # hold up requests for half a second.
        gc.collect()
        gc.freeze()
        stack.callback(models.stop)
        models.replace(entries, stop)
        if stop.is_set():
            return
        _watch_config(args, models, stop)
        numbers = ports.start(args.host, args.port, args.rest_api_port)
        print(_ready_line(args.host, numbers, models), flush=True)
        stop.wait()
        log.info("draining")
        ports.stop(DRAIN_SECONDS)


def _ports(
    args: argparse.Namespace,
    models: Models,
    entries: Sequence[ModelEntry],
    stop: threading.Event,
    stack: contextlib.ExitStack,
) -> Ports:
    """Both ports, which do not listen yet, with the files that flags name read."""
    from serving import config_files as files
    from serving.frontends.admission import Admission
    from serving.frontends.api import ModelApi
    from serving.frontends.grpc_port import GrpcOptions, GrpcPort
    from serving.frontends.http_port import HttpOptions, HttpPort
    from serving.frontends.ports import Ports
    from serving.versions.reloads import Reloads

    roots = args.reload_root or [entry.base_path.parent for entry in entries]
    reloads = Reloads(models, roots, stop)
    stack.callback(reloads.close)
    reload = reloads.serve if args.enable_reload_config_requests else None
    api = ModelApi(models, args.max_batch_size, reload)
    admission = Admission(
        threads=args.grpc_max_threads,
        max_concurrent=args.max_concurrent_requests,
        max_per_second=args.max_requests_per_second,
        tokens=files.read_tokens(args.token_file) if args.token_file else (),
    )
    stack.callback(admission.close)
    ssl, monitoring = args.ssl_config_file, args.monitoring_config_file
    grpc_options = GrpcOptions(
        ssl_config=files.read_ssl(ssl) if ssl else None,
        is_health_offered=args.enable_grpc_healthcheck_service,
        channel_arguments=tuple(args.grpc_channel_arguments),
        socket_path=args.grpc_socket_path,
    )
    http_options = HttpOptions(
        metrics_path=files.read_metrics_path(monitoring) if monitoring else None,
        timeout_seconds=args.rest_api_timeout_in_ms / 1000,
        allows_origins=args.rest_api_enable_cors_support,
    )
    return Ports(
        GrpcPort(api, admission, grpc_options), HttpPort(api, admission, http_options)
    )


def _entries(args: argparse.Namespace) -> list[ModelEntry]:
    from serving import config_files
    from serving.versions.models import ModelEntry, entries_of

    if args.model_config_file is None:
        return [ModelEntry(args.model_name, args.model_base_path)]
    return entries_of(config_files.read_models(args.model_config_file))


def _watch_config(
    args: argparse.Namespace, models: Models, stop: threading.Event
) -> None:
    from serving.versions.models import ConfigFile

    seconds = float(args.model_config_file_poll_wait_seconds)
    if args.model_config_file and seconds:
        file = ConfigFile(models, args.model_config_file, seconds)
        threading.Thread(target=file.watch, args=[stop], daemon=True).start()


def _ready_line(host: str, numbers: tuple[int, int], models: Models) -> str:
    from serving.frontends.addresses import url_host

    managers = [models.find(name) for name in models.names()]
    versions = ",".join(str(m.serving_version) for m in managers if m is not None)
    grpc_address, rest_address = (f"{url_host(host)}:{number}" for number in numbers)
    return (
        f"serving: grpc={grpc_address} rest={rest_address} "
        f"model={','.join(models.names())} version={versions}"
    )


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
                Servable,
                model_name=name,
                batching=batching,
                threads=threads,
                tags=tuple(args.saved_model_tags.split(",")),
                is_warmed_up=args.enable_model_warmup,
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
    except StatusError as error:
        print(f"serving: {error}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
