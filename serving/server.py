"""`python -m serving.server`: an embedded server with TF Serving's APIs."""

from __future__ import annotations

import argparse
import asyncio
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

import uvloop

from s4rec_tf.exit_codes import ExitCode
from serving import config_files
from serving.flags import parse_args, without_effect
from serving.frontends import addresses
from serving.frontends.admission import Admission
from serving.status import StatusError
from serving.versions.manager import VersionManager, versions_on_disk
from serving.versions.models import ModelEntry, Models, entries_of

if TYPE_CHECKING:
    from serving.frontends.grpc_port import GrpcPort
    from serving.frontends.http_port import HttpPort

    Ports = tuple[HttpPort, GrpcPort]

DRAIN_SECONDS = 20.0
"""Time of requests in flight after SIGTERM; Kubernetes kills after 30 seconds."""

log = logging.getLogger("serving")


def serve(args: argparse.Namespace, stop: threading.Event) -> None:
    """Loads, listens, and serves until `stop` is set; then drains."""
    for line in without_effect(args):
        log.warning("%s", line)
    # Wrong files and addresses fail the command before TensorFlow is imported.
    entries = _entries(args)
    for entry in entries:
        versions_on_disk(entry.base_path)
    is_shared = ("grpc.so_reuseport", 1) in (args.grpc_channel_arguments or ())
    addresses.bind(args.host, args.port, "gRPC", is_shared).close()
    addresses.bind(args.host, args.rest_api_port, "REST").close()
    tokens = config_files.read_tokens(args.token_file) if args.token_file else ()
    admission = Admission(args.grpc_max_threads, args.max_concurrent_requests, tokens)
    models = Models(_new_manager(args), stop, args.unavailable_labels)
    ports = _ports(args, models, admission, entries)
    _spare_imports()
    with contextlib.ExitStack() as stack:
        stack.callback(admission.close)
        stack.callback(models.stop)
        models.replace(entries)
        if stop.is_set():
            return
        seconds = args.model_config_file_poll_wait_seconds
        if args.model_config_file and seconds:
            watch = functools.partial(models.watch, args.model_config_file, seconds)
            threading.Thread(target=watch, daemon=True).start()
        uvloop.run(_answer(args.host, models, ports, stop))


async def _answer(
    host: str, models: Models, ports: Ports, stop: threading.Event
) -> None:
    """Answers on the REST and the gRPC port until `stop` is set."""
    rest, grpc = [f"{addresses.url_host(host)}:{await p.start()}" for p in ports]
    found = models.serving_versions()
    names, versions = ",".join(found), ",".join(map(str, found.values()))
    line = f"serving: grpc={grpc} rest={rest} model={names} version={versions}"
    print(line, flush=True)
    await asyncio.to_thread(stop.wait)
    log.info("draining")
    await asyncio.gather(*(port.stop(DRAIN_SECONDS) for port in ports))


def _ports(
    args: argparse.Namespace,
    models: Models,
    admission: Admission,
    entries: Sequence[ModelEntry],
) -> Ports:
    """The REST and the gRPC port, which do not listen yet."""
    from serving.frontends.api import ModelApi
    from serving.frontends.grpc_port import GrpcPort
    from serving.frontends.http_port import HttpPort

    reload = None
    if args.enable_reload_config_requests:
        roots = args.reload_root or [entry.base_path.parent for entry in entries]
        reload = functools.partial(models.reload, roots=roots)
    api = ModelApi(models, reload)
    return HttpPort(api, admission, args), GrpcPort(api, admission, args)


def _spare_imports() -> None:
    """Keeps imports out of garbage collection.

    Searching them at each swap would hold up requests for half a second.
    """
    gc.collect()
    gc.freeze()
    # By default the lists of one long body are searched again and again, each time with
    # the GIL held.
    gc.set_threshold(20_000, 5, 100)


def _entries(args: argparse.Namespace) -> list[ModelEntry]:
    if args.model_config_file is None:
        return [ModelEntry(args.model_name, args.model_base_path)]
    return entries_of(config_files.read_models(args.model_config_file))


def _new_manager(args: argparse.Namespace) -> Callable[[str, Path], VersionManager]:
    """A maker of a model's versions, with the settings of the flags."""
    batching = None
    if args.enable_batching:
        batching = config_files.read_batching(args.batching_parameters_file)

    def new(name: str, base_path: Path) -> VersionManager:
        from serving.servables.servable import Servable

        load = functools.partial(
            Servable,
            model_name=name,
            batching=batching,
            threads=(
                args.tensorflow_intra_op_parallelism,
                args.tensorflow_inter_op_parallelism,
            ),
            tags=args.saved_model_tags.split(","),
            is_warmed_up=args.enable_model_warmup,
            is_watched=args.monitoring_config_file is not None,
            max_rows=args.max_batch_size,
        )
        return VersionManager(
            name,
            base_path,
            load,
            poll_seconds=args.file_system_poll_wait_seconds,
            max_retries=args.max_num_load_retries,
            retry_seconds=args.load_retry_interval_micros / 1e6,
        )

    return new


def _allow_connections() -> None:
    """Raises the bound on open files, which idle clients would use up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2**16 if hard == resource.RLIM_INFINITY else min(hard, 2**16)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    # oneDNN prepares a product anew for every size of a batch, which takes longer than
    # the product of the few rows of a request.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form)
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
