"""Several processes on one port: answers, ends, and what happens when one dies."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving import workers
from serving.contract import StatusError
from tests.serving import processes
from tests.serving.test_client_suite import (
    HISTORY,
    good_answer_is_right,
    predict_request,
)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.fixture
def pair(served_export, tmp_path):
    server = processes.start_embedded(
        "demo", served_export.export_dir, tmp_path / "log", "--processes", 2
    )
    yield server
    server.close()


def calls_by_connection(server, count):
    """Answers over so many connections, which the kernel divides."""
    request = predict_request(history=[HISTORY])
    for number in range(count):
        # Channels of equal options would share a connection.
        options = [("grpc.use_local_subchannel_pool", 1), ("number", number)]
        with grpc.insecure_channel(server.grpc_address, options=options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            yield stub.Predict(request, timeout=30)


def cpu_seconds(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_both_answer_and_end_with_the_server(pair, served_export):
    good_answer_is_right(pair, served_export)
    pids = children(pair.process.pid)
    assert len(pids) == 2
    before = [cpu_seconds(pid) for pid in pids]
    answers = list(calls_by_connection(pair, 40))
    assert {answer.model_spec.version.value for answer in answers} == {1}
    # 2^-39 is the chance that one of two gets none.
    assert all(
        cpu_seconds(pid) > ticks for pid, ticks in zip(pids, before, strict=True)
    )
    status, _ = pair.http("GET", "/v1/models/demo")
    assert status == 200
    pair.process.send_signal(signal.SIGTERM)
    assert pair.process.wait(60) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_server(pair):
    pids = children(pair.process.pid)
    os.kill(pids[0], signal.SIGKILL)
    assert pair.process.wait(60) == 1
    assert not Path(f"/proc/{pids[1]}").exists()


def test_workers_do_not_outlive_a_server_that_is_killed(pair):
    pids = children(pair.process.pid)
    pair.process.kill()
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_port_that_another_program_has_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StatusError, match=str(port)):
            with workers.reserved_port("127.0.0.1", port):
                pass


@pytest.mark.slow
def test_nothing_to_serve_ends_with_the_reason(tmp_path):
    (tmp_path / "models" / "1").mkdir(parents=True)
    flags = ("--model_name", "demo", "--model_base_path", tmp_path / "models")
    flags += ("--port", 0, "--rest_api_port", 0, "--processes", 2)
    flags += ("--max_num_load_retries", 0)
    done = subprocess.run(
        processes.command(*flags), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "a worker ended with status 1" in done.stderr
