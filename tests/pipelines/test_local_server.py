import os
import textwrap

import pytest

from pipelines import local_server
from pipelines.local_server import LocalServer, ServerError, wait_until


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Puts a module in the server's place that behaves as `base_path` is named."""
    (tmp_path / "stubserver.py").write_text(
        textwrap.dedent(
            """
            import sys, time
            behaviour = sys.argv[4]
            print("loading", flush=True)
            if behaviour == "broken":
                sys.exit("no version to serve")
            if behaviour == "good":
                print("serving: grpc=127.0.0.1:1234 rest=127.0.0.1:1235 version=1")
            time.sleep(60)
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(behaviour):
        monkeypatch.setattr(local_server, "MODULE", "stubserver")
        return LocalServer("s4rec", behaviour, tmp_path / "log")

    return make


def children():
    task = f"/proc/self/task/{os.getpid()}/children"
    with open(task) as stream:
        return stream.read().split()


def test_target_is_what_the_server_says_and_it_is_stopped(stub):
    before = children()
    with stub("good") as server:
        assert server.grpc_target == "127.0.0.1:1234"
        assert len(children()) == len(before) + 1
    assert children() == before


def test_server_that_ends_is_an_error_with_its_last_words(stub):
    with pytest.raises(ServerError, match="exit code 1") as error, stub("broken"):
        raise AssertionError("never ready")
    assert str(error.value).endswith("loading\nno version to serve")
    assert "python -m stubserver --model_name s4rec" in str(error.value)


def test_server_that_is_never_ready_is_stopped(stub, monkeypatch):
    monkeypatch.setattr(local_server, "START_SECONDS", 0.5)
    before = children()
    with pytest.raises(ServerError, match=r"the server \(see .*log\) was not ready"):
        stub("silent").__enter__()
    assert children() == before


def test_waiting_ends_with_a_named_error():
    answers = iter([False, True])
    wait_until(lambda: next(answers), 5, "it")
    with pytest.raises(ServerError, match="the thing was not ready within 0 s"):
        wait_until(lambda: False, 0, "the thing")
