"""`python -m serving.server`: an embedded server with TF Serving's APIs."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serving.contract import DEFAULT_MAX_BATCH_ROWS, Code, StatusError

if TYPE_CHECKING:
    from serving.versions import VersionManager

DRAIN_SECONDS = 20.0
"""How long requests in work may go on after SIGTERM; Kubernetes kills after 30."""

_WAIT_SECONDS = 0.1

log = logging.getLogger("serving")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; names are TF Serving's."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.server",
        allow_abbrev=False,
        description="Serves the newest version under a base path over TF Serving's "
        "gRPC and REST APIs, and swaps when a newer one appears. When ready it prints "
        "one line: serving: grpc=HOST:PORT rest=HOST:PORT model=NAME version=N",
    )
    add = parser.add_argument
    add("--model_name", required=True, help="name that requests must use")
    add("--model_base_path", type=Path, required=True, help="BASE/NAME, with versions")
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
        "--max_batch_size",
        type=_positive_count,
        default=DEFAULT_MAX_BATCH_ROWS,
        help=f"most rows of a request; default {DEFAULT_MAX_BATCH_ROWS}",
    )
    _add_load(parser)
    return parser.parse_args(argv)


def _add_load(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--processes",
        type=_positive_count,
        default=1,
        help="server processes on the same ports, each with the model; default 1",
    )
    add(
        "--share_ports",
        action="store_true",
        help="listen where other processes do too, and end with standard input; what "
        "--processes gives its workers",
    )
    add(
        "--grpc_max_threads",
        type=_positive_count,
        default=4 * (os.cpu_count() or 1),
        help="calls that a process works on at a time; default four a core",
    )
    add(
        "--max_concurrent_requests",
        type=_positive_count,
        default=1024,
        help="calls in work or waiting, of each process; more are shed; default 1024",
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


def serve(args: argparse.Namespace, stop: threading.Event) -> None:
    """Loads, listens, and serves until `stop` is set; then drains.

    Raises:
        StatusError: if nothing can be served or a port cannot be had.
        NoBasePath: if the base path is missing at the start.
    """
    from serving.versions import VersionManager, versions_on_disk

    # A wrong path fails the command before TensorFlow is imported.
    versions_on_disk(args.model_base_path)
    from serving import grpc_service, rest_service
    from serving.api import ModelApi
    from serving.servable import Servable

    threads = (
        args.tensorflow_intra_op_parallelism,
        args.tensorflow_inter_op_parallelism,
    )
    versions = VersionManager(
        args.model_name,
        args.model_base_path,
        functools.partial(Servable, threads=threads),
        poll_seconds=args.file_system_poll_wait_seconds,
        max_retries=args.max_num_load_retries,
        retry_seconds=args.load_retry_interval_micros / 1e6,
    )
    versions.poll()
    versions.start()
    try:
        if not _wait_until_available(versions, stop):
            return
        api = ModelApi(versions, args.max_batch_size)
        rest = rest_service.RestServer(
            api, args.host, args.rest_api_port, args.share_ports
        )
        load = grpc_service.Load(
            args.grpc_max_threads,
            args.max_concurrent_requests,
            args.max_requests_per_second,
            args.share_ports,
        )
        grpc_server, grpc_port = grpc_service.start(api, args.host, args.port, load)
        rest_port = rest.start()
        print(
            f"serving: grpc={args.host}:{grpc_port} rest={args.host}:{rest_port} "
            f"model={args.model_name} version={versions.serving_version}",
            flush=True,
        )
        stop.wait()
        log.info("draining")
        drained = grpc_server.stop(DRAIN_SECONDS)
        rest.drain(DRAIN_SECONDS)
        drained.wait()
    finally:
        versions.stop()


def serve_by_workers(
    args: argparse.Namespace, argv: Sequence[str] | None, stop: threading.Event
) -> None:
    """Serves by `--processes` processes until `stop` is set.

    Raises:
        StatusError: if a port cannot be had or a worker ends.
        NoBasePath: if the base path is missing at the start.
    """
    from serving import workers
    from serving.versions import versions_on_disk

    versions_on_disk(args.model_base_path)
    flags = [*(sys.argv[1:] if argv is None else argv), "--processes=1"]
    if args.max_requests_per_second:
        rate = args.max_requests_per_second / args.processes
        flags.append(f"--max_requests_per_second={rate}")
    ports = (args.port, args.rest_api_port)
    workers.serve(flags, args.processes, args.host, ports, stop)


def _wait_until_available(versions: VersionManager, stop: threading.Event) -> bool:
    """False if the server was told to stop before it had anything to serve."""
    while versions.serving_version is None:
        reason = versions.hopeless()
        if reason:
            raise StatusError(
                Code.UNAVAILABLE,
                f"no version of {versions.model_name} can be loaded: {reason}",
            )
        if stop.wait(_WAIT_SECONDS):
            return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # The session loader announces its own deprecation at each load.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # gRPC writes a traceback for every message that is no protobuf.
    logging.getLogger("grpc._common").setLevel(logging.CRITICAL)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from serving import workers
    from serving.versions import NoBasePath

    if args.share_ports:
        workers.stop_with_input(stop)
    try:
        if args.processes > 1:
            serve_by_workers(args, argv, stop)
        else:
            serve(args, stop)
    except (StatusError, NoBasePath) as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
