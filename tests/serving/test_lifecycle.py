"""Versions come, go and break while requests are answered; the process ends well."""

import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

from serving.flags import parse_args
from serving.server import serve
from serving.status import StatusError
from tests.serving import processes
from tests.serving.export_requests import HISTORY, predict_request

AVAILABLE, END = 30, 50
ANY_PORT = ("--port", "0", "--rest_api_port", "0")
FAST = (
    *ANY_PORT,
    *("--file_system_poll_wait_seconds", "0.1"),
    *("--max_num_load_retries", "1"),
    *("--load_retry_interval_micros", "200000"),
)


def publish(source, base, number, change=None):
    """Copies a version as an exporter does: beside, then renamed."""
    staged = base / f".incomplete-{number}"
    shutil.copytree(source, staged)
    if change:
        change(staged)
    staged.rename(base / str(number))


def truncate(version):
    data = version / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])


def remove_graph(version):
    (version / "saved_model.pb").unlink()


def break_warmup(version):
    records = version / "assets.extra" / "tf_serving_warmup_requests"
    content = bytearray(records.read_bytes())
    content[100] ^= 1
    records.write_bytes(content)


class Load:
    """Threads that ask without pause and note every answer's version and failure."""

    def __init__(self, server) -> None:
        self.failures = []
        self.versions = set()
        self.count = 0
        self._stop = threading.Event()
        calls = (lambda: self._over_grpc(server), lambda: self._over_rest(server))
        self._threads = [
            threading.Thread(target=self._run, args=(call,))
            for call in (*calls, *calls)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, call):
        while not self._stop.is_set():
            try:
                call()
                self.count += 1
            except Exception as error:
                self.failures.append(repr(error))
            time.sleep(0.002)

    def _over_grpc(self, server):
        request = predict_request(history=[HISTORY])
        response = server.prediction.Predict(request, timeout=30)
        self.versions.add(response.model_spec.version.value)

    def _over_rest(self, server):
        path = "/v1/models/demo:predict"
        status, answer = server.http("POST", path, {"instances": [HISTORY]})
        assert status == 200, answer


def add_item(version):
    vocabulary = version / "assets" / "item_vocab.txt"
    vocabulary.write_text(vocabulary.read_text() + "one more\n")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("lifecycle") / "demo"


@pytest.fixture(scope="module")
def server(base, served_export):
    """A server that looks ten times a second; the last test ends it."""
    base.mkdir()
    publish(served_export.version, base, 1)
    log = base.with_name("log")
    server = processes.start_embedded("demo", base, log, *FAST)
    server.log = log
    yield server
    server.close()


def wait_for_state(server, version, state):
    def reached():
        entry = server.status("demo").get(version)
        return entry is not None and entry.state == state

    processes.wait_for(reached, 60, server.log)
    return server.status("demo")[version].status


def test_swaps_and_broken_versions_under_load(server, base, served_export):
    source = served_export.version
    with Load(server) as load:
        for number in (2, 5):
            publish(source, base, number)
            wait_for_state(server, number, AVAILABLE)
            processes.wait_for(lambda n=number: n in load.versions, 30)
        wait_for_state(server, 1, END)
        wait_for_state(server, 2, END)
        for number, change in ((6, truncate), (7, remove_graph), (8, break_warmup)):
            publish(source, base, number, change)
            status = wait_for_state(server, number, END)
            assert status.error_code != 0
            assert str(base / str(number)) in status.error_message
            wait_for_state(server, 5, AVAILABLE)
        (base / "9").mkdir()
        (base / "10").write_text("a file")
        (base / "notes").mkdir()
        wait_for_state(server, 9, END)
        # Bytes that load but are not those of the export.
        (base / ".meta").mkdir()
        meta = served_export.export_dir / ".meta" / "1"
        shutil.copytree(meta, base / ".meta" / "11")
        publish(source, base, 11, add_item)
        status = wait_for_state(server, 11, END)
        assert "differs from its manifest" in status.error_message
        publish(source, base, 12)
        wait_for_state(server, 12, AVAILABLE)
        # Going back: the newest good version below it is 5.
        shutil.rmtree(base / "12")
        wait_for_state(server, 5, AVAILABLE)
        wait_for_state(server, 12, END)
    assert load.failures == []
    assert {1, 2, 5} <= load.versions <= {1, 2, 5, 12}
    assert load.count > 100
    tries = server.log.read_text().count("version 6 of demo cannot be loaded")
    assert tries == 2, "one retry, no more"


def test_base_path_that_vanishes_stops_nothing(server, base, served_export):
    request = predict_request(history=[HISTORY])
    before = server.prediction.Predict(request, timeout=30).model_spec.version.value
    base.rename(base.with_name("away"))
    message = "Could not find base path"
    processes.wait_for(lambda: message in server.log.read_text(), 30)
    after = server.prediction.Predict(request, timeout=30).model_spec.version.value
    assert after == before
    base.with_name("away").rename(base)
    publish(served_export.version, base, 100)
    wait_for_state(server, 100, AVAILABLE)
    assert server.log.read_text().count(message) == 1


def test_termination_lets_requests_finish_and_exits_0(server):
    request = predict_request(history=[HISTORY] * 500)
    calls = [server.prediction.Predict.future(request, timeout=30) for _ in range(8)]
    server.prediction.Predict(request, timeout=30)
    server.process.send_signal(signal.SIGTERM)
    for call in calls:
        assert len(call.result().outputs) == 4
    assert server.process.wait(30) == 0
    assert server.process.stdout.read() == ""


def run(*flags):
    return subprocess.run(
        processes.command(*flags), capture_output=True, text=True, timeout=120
    )


def test_missing_base_path_fails_clearly_and_at_once(tmp_path):
    done = run("--model_name", "x", "--model_base_path", tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.startswith("serving: Could not find base path")
    assert done.stderr.count("\n") == 1


def test_nothing_that_loads_ends_the_server_with_the_reason(tmp_path):
    (tmp_path / "demo" / "3").mkdir(parents=True)
    flags = ["--model_name", "demo", "--model_base_path", str(tmp_path / "demo"), *FAST]
    with pytest.raises(
        StatusError, match="no version of demo can be loaded: version 3"
    ):
        serve(parse_args(flags), threading.Event())


def test_told_to_stop_while_it_waits_for_a_first_version(tmp_path):
    flags = ["--model_name", "demo", "--model_base_path", str(tmp_path), *FAST]
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    serve(parse_args(flags), stop)


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
def test_port_in_use_is_named_before_anything_is_loaded(flag, tmp_path):
    (tmp_path / "3").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = ["--model_base_path", str(tmp_path), *ANY_PORT, flag, str(port)]
        with pytest.raises(StatusError, match=f"127.0.0.1:{port}"):
            serve(parse_args(flags), threading.Event())


def test_address_that_is_none_is_named_before_anything_is_loaded(tmp_path):
    (tmp_path / "3").mkdir()
    flags = ["--model_base_path", str(tmp_path), *ANY_PORT, "--host", "no.such.invalid"]
    with pytest.raises(StatusError, match=r"cannot listen on no\.such\.invalid:0"):
        serve(parse_args(flags), threading.Event())


@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_ipv6_addresses_listen(host, served_export, tmp_path):
    flags = ("--host", host)
    server = processes.start_embedded(
        "demo", served_export.export_dir, tmp_path / "log", *flags
    )
    expected = "[::]" if host == "::" else "[::1]"
    try:
        for address in (server.grpc_address, server.rest_address):
            assert address.rsplit(":", 1)[0] == expected
        port = server.rest_address.rsplit(":", 1)[1]
        with urllib.request.urlopen(f"http://[::1]:{port}/v1/models/demo") as answer:
            assert answer.status == 200
        assert server.status("demo")[1].state == AVAILABLE
    finally:
        server.close()


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "70000"),
        ("--max_batch_size", "0"),
        ("--max_num_load_retries", "-2"),
        ("--enable_batching", "perhaps"),
        ("--model_nam", "x"),
    ],
)
def test_wrong_flags_are_usage_errors(flag, value):
    done = run("--model_name", "x", "--model_base_path", "/", flag, value)
    assert done.returncode == 2
    assert flag in done.stderr
