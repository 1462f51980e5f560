"""HandleReloadConfigRequest that cannot be served holds nothing up."""

import time
from concurrent import futures

import grpc
import pytest

from serving import limits
from tests.serving import inside, processes
from tests.serving.export_requests import HISTORY, predict_request, status_of


@pytest.fixture(scope="module")
def base(served_export, tmp_path_factory):
    base = tmp_path_factory.mktemp("reloads") / "demo"
    inside.link_versions(served_export.version, base, 1)
    (base.parent / "empty").mkdir()
    return base


@pytest.fixture(scope="module")
def server(base):
    flags = ("--model_name", "demo", "--model_base_path", base)
    with inside.server(*flags, "--enable_reload_config_requests") as answering:
        yield answering


def reload(server, *models, timeout=60):
    request = inside.reload_request(*models)
    return server.models.HandleReloadConfigRequest(request, timeout=timeout)


def test_folder_without_versions_holds_nothing_up(server, base, monkeypatch):
    monkeypatch.setattr(limits, "RELOAD_SECONDS", 2.0)
    demo, empty = ("demo", base, ""), ("empty", base.parent / "empty", "")
    with futures.ThreadPoolExecutor(12) as pool:
        calls = [
            pool.submit(status_of, lambda: reload(server, demo, empty))
            for _ in range(12)
        ]
        # Meanwhile everything else is answered.
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            request = predict_request(history=[HISTORY])
            assert server.prediction.Predict(request, timeout=5).outputs
            assert server.status("demo")[1].state == 30
        codes = {call.result(30)[0] for call in calls}
    assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
    reason = "no version of empty is available yet under"
    processes.wait_for(
        lambda: reason in status_of(lambda: reload(server, demo, empty))[1], 20
    )
    assert status_of(lambda: server.status("empty"))[0].name == "NOT_FOUND"
    # What comes later is served without another request.
    inside.link_versions(base / "1", base.parent / "empty", 7)
    request = predict_request(name="empty", history=[HISTORY])
    end = time.monotonic() + 30
    while status_of_or_none(lambda: server.prediction.Predict(request, timeout=5)):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert reload(server, demo).status.error_code == 0


def status_of_or_none(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return None


def test_base_path_must_lie_below_a_root(server, base, tmp_path, served_export):
    outside = tmp_path / "outside"
    inside.link_versions(served_export.version, outside, 1)
    hidden = base.parent / "hidden"
    hidden.symlink_to(outside)
    for path in (outside, hidden, base.parent / ".." / ".." / "etc", "/"):
        code, text = status_of(lambda p=path: reload(server, ("demo", p, "")))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "--reload_root" in text
    assert server.status("demo")[1].state == 30
