"""A server inside the test's own process: quick to start, with any flags."""

import contextlib
import os
import threading

from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2

from serving.flags import parse_args
from serving.server import serve
from tests.serving import processes

FAST = ("--file_system_poll_wait_seconds", "0.1", "--max_num_load_retries", "0")


@contextlib.contextmanager
def server(*flags, grpc_port=None):
    """Serves with these flags while the block lasts; yields `processes.Server`."""
    rest_port = processes.free_port()
    grpc_port = grpc_port or processes.free_port()
    ports = ("--port", grpc_port, "--rest_api_port", rest_port)
    stop, failures = threading.Event(), []
    args = parse_args([str(flag) for flag in (*flags, *ports, *FAST)])

    def run():
        try:
            serve(args, stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    answering = processes.Server(
        None, f"127.0.0.1:{grpc_port}", f"127.0.0.1:{rest_port}"
    )

    def is_up():
        if failures:
            raise failures[0]
        with contextlib.suppress(OSError):
            answering.http("GET", "/v1/models/none")
            return True
        return False

    try:
        processes.wait_for(is_up, processes.START_SECONDS)
        yield answering
    finally:
        answering.channel.close()
        stop.set()
        thread.join(60)


def models_config(*models):
    """Text of a models.config; a model is (name, base path, text of the rest)."""
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" '
        f"{rest} }}\n"
        for name, base, rest in models
    )
    return f"model_config_list {{ {entries} }}"


def reload_request(*models):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(models_config(*models), request.config)
    return request


def link_versions(source, base, *numbers):
    """Versions that are links to one: they load alike and take no room."""
    base.mkdir(exist_ok=True)
    for number in numbers:
        os.symlink(source, base / str(number))
