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
from typing import TYPE_CHECKING, Any

from s4rec_tf.exit_codes import ExitCode
from serving.flags import parse_args, without_effect
from serving.status import StatusError
from serving.versions.manager import versions_on_disk

if TYPE_CHECKING:
    from serving.frontends.admission import Admission
    from serving.versions.manager import VersionManager
    from serving.versions.models import ModelEntry, Models

DRAIN_SECONDS = 20.0
"""Time of requests in flight after SIGTERM; Kubernetes kills after 30 seconds."""

log = logging.getLogger("serving")


def serve(args: argparse.Namespace, stop: threading.Event) -> None:
    """Loads, listens, and serves until `stop` is set; then drains."""
    from serving.frontends import addresses

    for line in without_effect(args):
        log.warning("%s", line)
    # Wrong files and addresses fail the command before TensorFlow is imported.
    entries = _entries(args)
    for entry in entries:
        versions_on_disk(entry.base_path)
    is_shared = ("grpc.so_reuseport", 1) in (args.grpc_channel_arguments or ())
    addresses.bind(args.host, args.port, "gRPC", is_shared).close()
    addresses.bind(args.host, args.rest_api_port, "REST").close()
    admission = _admission(args)
    from serving.frontends.api import ModelApi
    from serving.frontends.ports import Ports
    from serving.versions.models import Models

    reload = None
    models = Models(_new_manager(args), stop, args.unavailable_labels)
    if args.enable_reload_config_requests:
        roots = args.reload_root or [entry.base_path.parent for entry in entries]
        reload = functools.partial(models.reload, roots=roots)
    ports = Ports(ModelApi(models, reload), admission, args)
    # Imports stay: searching them for garbage at each swap would hold up requests for
    # half a second.
    gc.collect()
    gc.freeze()
    # By default the lists of one long body are searched again and again, each time with
    # the GIL held.
    gc.set_threshold(20_000, 5, 100)
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
        numbers = ports.start()
        print(_ready_line(args.host, numbers, models), flush=True)
        stop.wait()
        log.info("draining")
        ports.stop(DRAIN_SECONDS)


def _entries(args: argparse.Namespace) -> list[ModelEntry]:
    from serving import config_files
    from serving.versions.models import ModelEntry, entries_of

    if args.model_config_file is None:
        return [ModelEntry(args.model_name, args.model_base_path)]
    return entries_of(config_files.read_models(args.model_config_file))


def _admission(args: argparse.Namespace) -> Admission:
    from serving import config_files
    from serving.frontends.admission import Admission

    return Admission(
        threads=args.grpc_max_threads,
        max_concurrent=args.max_concurrent_requests,
        max_per_second=args.max_requests_per_second,
        tokens=config_files.read_tokens(args.token_file) if args.token_file else (),
    )


def _new_manager(args: argparse.Namespace) -> Callable[[str, Path], VersionManager]:
    """A maker of a model's versions, with the settings of the flags."""
    from serving import config_files
    from serving.servables.servable import Servable
    from serving.versions.manager import VersionManager

    batching = None
    if args.enable_batching:
        batching = config_files.BatchingParameters()
        if args.batching_parameters_file:
            batching = config_files.read_batching(args.batching_parameters_file)
    loading: dict[str, Any] = {
        "batching": batching,
        "threads": (
            args.tensorflow_intra_op_parallelism,
            args.tensorflow_inter_op_parallelism,
        ),
        "tags": args.saved_model_tags.split(","),
        "is_warmed_up": args.enable_model_warmup,
        "max_rows": args.max_batch_size,
    }
    watching: dict[str, Any] = {
        "poll_seconds": args.file_system_poll_wait_seconds,
        "max_retries": args.max_num_load_retries,
        "retry_seconds": args.load_retry_interval_micros / 1e6,
    }

    def new(name: str, base_path: Path) -> VersionManager:
        load = functools.partial(Servable, model_name=name, **loading)
        return VersionManager(name, base_path, load, **watching)

    return new


def _ready_line(host: str, numbers: tuple[int, int], models: Models) -> str:
    from serving.frontends.addresses import url_host

    managers = [models.find(name) for name in models.names()]
    versions = ",".join(str(m.serving_version) for m in managers if m is not None)
    grpc_address, rest_address = (f"{url_host(host)}:{number}" for number in numbers)
    return (
        f"serving: grpc={grpc_address} rest={rest_address} "
        f"model={','.join(models.names())} version={versions}"
    )


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
