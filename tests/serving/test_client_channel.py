"""The client and the network: proxies, restarts, and versions of another length."""

import threading
import time

import pytest

from serving import client
from serving.client import channel
from tests.serving import inside, processes


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("localhost:8500", True),
        ("127.0.0.1:8500", True),
        ("127.9.9.9:8500", True),
        ("[::1]:8500", True),
        ("unix:/tmp/socket", True),
        ("10.0.0.7:8500", False),
        ("models.internal:8500", False),
        ("localhost.example.com:8500", False),
    ],
)
def test_what_is_on_this_machine(target, expected):
    assert channel.is_local(target) is expected


@pytest.fixture(scope="module")
def base(served_export, tmp_path_factory):
    base = tmp_path_factory.mktemp("client") / "demo"
    inside.link_versions(served_export.version, base, 1)
    return base


def test_local_target_is_asked_past_the_proxy(base, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with inside.server("--model_name", "demo", "--model_base_path", base) as server:
        with client.Client(server.grpc_address, "demo") as asking:
            answer = asking.recommend(["item-3"], 2)
    assert len(answer.items) == 2


def test_server_that_comes_back_is_found_within_two_seconds(base):
    port = processes.free_port()
    flags = ("--model_name", "demo", "--model_base_path", base)
    with client.Client(f"127.0.0.1:{port}", "demo", 5) as asking:
        with inside.server(*flags, grpc_port=port):
            assert asking.recommend(["item-3"], 2).items
        end = time.monotonic() + 12
        while time.monotonic() < end:
            with pytest.raises(client.QueryError):
                asking.recommend(["item-3"], 2)
            time.sleep(0.2)
        with inside.server(*flags, grpc_port=port):
            start = time.monotonic()
            while True:
                try:
                    assert asking.recommend(["item-3"], 2).items
                    break
                except client.QueryError:
                    assert time.monotonic() - start < 2
                    time.sleep(0.05)


class Swapping(client.Client):
    """Asks of a server whose version is always gone by the second call."""

    def __init__(self, gone):
        super().__init__("localhost:1", "demo")
        self.asked, self._gone, self.version = [], gone, 0

    def _call(self, method, request, response_class):
        from serving.client import wire_pb2 as wire

        if method != client.PREDICT:
            self.version += 1
            response = wire.MetadataResponse()
            response.model_spec.version.value = self.version
            definitions = wire.SignatureDefMap()
            shape = definitions.signature_def["recommend"].inputs["history"]
            for size in (-1, 10 * self.version):
                shape.tensor_shape.dim.add(size=size)
            response.metadata["signature_def"].value = definitions.SerializeToString()
            return response
        length = request.inputs["history"].tensor_shape.dim[1].size
        self.asked.append((request.model_spec.version.value, length))
        if len(self.asked) <= self._gone:
            raise client.QueryError("gone", channel.grpc.StatusCode.NOT_FOUND)
        response = wire.PredictResponse()
        for name in ("item_ids", "scores", "is_fallback"):
            response.outputs[name].SetInParent()
        return response


def test_a_swap_to_another_length_fails_no_call():
    asking = Swapping(gone=2)
    assert asking.recommend(["a"] * 25).items == []
    assert asking.asked == [(1, 10), (2, 20), (3, 30)]
    with pytest.raises(client.QueryError, match="gone"):
        Swapping(gone=99).recommend(["a"])


def test_swaps_under_a_client_fail_no_call(served_export, tmp_path):
    base = tmp_path / "demo"
    inside.link_versions(served_export.version, base, 1)
    with inside.server("--model_name", "demo", "--model_base_path", base) as server:
        versions, stop = set(), threading.Event()

        def swap():
            for number in range(2, 6):
                inside.link_versions(served_export.version, base, number)
                processes.wait_for(lambda n=number: n in versions, 60)
            stop.set()

        thread = threading.Thread(target=swap)
        thread.start()
        with client.Client(server.grpc_address, "demo") as asking:
            while thread.is_alive() and not stop.is_set():
                versions.add(asking.recommend(["item-3"], 2).version)
        thread.join()
    assert versions == {1, 2, 3, 4, 5}
