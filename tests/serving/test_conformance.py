"""Reloading, health, metrics, and what is off by default, on the export."""

import time

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis import (
    model_management_pb2,
)

from tests.serving import inside, processes
from tests.serving.export_requests import HISTORY, predict_request, status_of

ALL = "model_version_policy { all {} }"
LABELLED = f'{ALL} version_labels {{ key: "stable" value: 1 }}'


@pytest.fixture(scope="module")
def base(served_export, tmp_path_factory):
    """Versions 1, 2 and 5."""
    base = tmp_path_factory.mktemp("conformance") / "demo"
    inside.link_versions(served_export.version, base, 1, 2, 5)
    return base


@pytest.fixture(scope="module")
def config(base):
    path = base.with_name("models.config")
    path.write_text(inside.models_config(("demo", base, LABELLED)))
    return path


@pytest.fixture(scope="module")
def monitoring(base):
    path = base.with_name("monitoring.config")
    path.write_text('prometheus_config { enable: true path: "/metrics" }')
    return path


@pytest.fixture(scope="module")
def server(base, config, monitoring):
    """All versions of one model, and everything that is off by default."""
    with inside.server(
        *("--model_config_file", config, "--model_config_file_poll_wait_seconds", 1),
        *("--monitoring_config_file", monitoring),
        "--enable_reload_config_requests",
        "--enable_grpc_healthcheck_service",
        *("--grpc_socket_path", base.with_name("socket")),
        *("--grpc_channel_arguments", "grpc.max_receive_message_length=100000"),
        *("--reload_root", base.parent.parent),
    ) as answering:
        yield answering


def asked(server, version=None, label=None):
    """The version that answers."""
    request = predict_request(history=[HISTORY])
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    response = server.prediction.Predict(request, timeout=30)
    return response.model_spec.version.value


def test_health_service_says_serving(server):
    check = health_pb2_grpc.HealthStub(server.channel).Check
    for name in ("", "ModelService", "PredictionService"):
        request = health_pb2.HealthCheckRequest(service=name)
        assert check(request, timeout=30).status == 1
    request = health_pb2.HealthCheckRequest(service="nope")
    assert status_of(lambda: check(request, timeout=30))[0].name == "NOT_FOUND"


def metric_values(server, path="/metrics"):
    """Samples by name and labels, as Prometheus' own reader sees them."""
    import urllib.request

    with urllib.request.urlopen(f"http://{server.rest_address}{path}") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        text = response.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_carry_the_names_of_tensorflow_serving(server):
    key = (
        # The reader spells counters as OpenMetrics does.
        ":tensorflow:serving:request_count_total",
        (("model_name", "demo"), ("status", "OK")),
    )
    before = metric_values(server).get(key, 0)
    for _ in range(3):
        asked(server)
    status_of(lambda: asked(server, version=77))
    after = metric_values(server)
    assert after[key] == before + 3
    names = {name for name, _ in after}
    serving = ":tensorflow:serving:"
    for name in ("request_latency", "runtime_latency", "model_warmup_latency"):
        assert {f"{serving}{name}_{end}" for end in ("bucket", "sum", "count")} <= names
    labels = (("API", "Predict"), ("entrypoint", "GRPC"), ("model_name", "demo"))
    count = after[f"{serving}request_latency_count", labels]
    infinite = (*labels[:2], ("le", "+Inf"), labels[2])
    assert after[f"{serving}request_latency_bucket", infinite] == count >= 3
    failed = (("model_name", "demo"), ("status", "NOT_FOUND"))
    assert after[f"{serving}request_count_total", failed] >= 1
    loads = ":tensorflow:cc:saved_model:load_attempt_count_total"
    assert any(name == loads for name, _ in after)


def test_names_of_unknown_models_make_no_metric(server):
    request = predict_request(name="made-up", history=[HISTORY])
    status_of(lambda: server.prediction.Predict(request, timeout=30))
    assert not any("made-up" in str(labels) for _, labels in metric_values(server))


def reload(server, *models):
    request = inside.reload_request(*models)
    return server.models.HandleReloadConfigRequest(request, timeout=60)


def test_reload_request_replaces_the_models(server, base, tmp_path):
    try:
        latest = "model_version_policy { latest { num_versions: 2 } }"
        answer = reload(server, ("demo", base, latest), ("other", base, ""))
        assert answer.status.error_code == 0
        assert asked(server) == 5
        assert asked(server, version=2) == 2
        code, text = status_of(lambda: asked(server, version=1))
        assert text == "Servable not found for request: Specific(demo, 1)"
        assert set(server.status("other")) == {5}
        # What cannot be served changes nothing.
        for model, code, text in [
            (("demo", tmp_path / "none", ""), "INVALID_ARGUMENT", "base path"),
            (("", base, ""), "INVALID_ARGUMENT", "needs a name"),
            (
                (
                    *("demo", base),
                    f'{latest} version_labels {{ key: "old" value: 1 }}',
                ),
                "FAILED_PRECONDITION",
                "Request to assign label old to version 1 of model demo",
            ),
        ]:
            received = status_of(lambda m=model: reload(server, m, ("other", base, "")))
            assert received[0].name == code and text in received[1]
            assert asked(server) == 5
        received = status_of(
            lambda: reload(server, ("demo", base, ""), ("demo", base, ""))
        )
        assert received[1] == "Illegal to list model demo multiple times"
    finally:
        reload(server, ("demo", base, LABELLED))
    assert asked(server, label="stable") == 1
    request = predict_request(name="other", history=[HISTORY])
    code, _ = status_of(lambda: server.prediction.Predict(request, timeout=30))
    assert code.name == "NOT_FOUND"


def test_new_labels_of_unavailable_versions_are_taken_where_the_flag_says(base):
    flag = "--allow_version_labels_for_unavailable_models"
    reloads = ("--enable_reload_config_requests", "--reload_root", base.parent)
    of_4 = f'{ALL} version_labels {{ key: "next" value: 4 }}'
    config = base.with_name("labels.config")
    config.write_text(inside.models_config(("demo", base, of_4)))
    with inside.server("--model_config_file", config, flag, *reloads) as answering:
        code, text = status_of(lambda: asked(answering, label="next"))
        assert (code.name, "Specific(demo, 4)" in text) == ("NOT_FOUND", True)
        # A label in use may not move to a version that is not there.
        of_9 = of_4.replace("4", "9")
        code, _ = status_of(lambda: reload(answering, ("demo", base, of_9)))
        assert code.name == "FAILED_PRECONDITION"


def test_config_file_is_read_again(server, base, config):
    specific = "model_version_policy { specific { versions: 1 versions: 2 } }"
    stable = 'version_labels { key: "stable" value: 2 }'
    text = config.read_text()
    config.write_text("no config {")
    time.sleep(1.2)
    assert asked(server, label="stable") == 1
    moved = inside.models_config(("demo", base, f"{specific} {stable}"))
    config.write_text(moved)
    processes.wait_for(lambda: asked(server, label="stable") == 2, 30)
    assert asked(server) == 2
    assert server.status("demo")[5].state == 50
    config.write_text(text)
    processes.wait_for(lambda: asked(server, label="stable") == 1, 30)
    assert asked(server) == 5


@pytest.fixture(scope="module")
def plain(base):
    """A server as it is without any option."""
    with inside.server("--model_name", "demo", "--model_base_path", base) as answering:
        yield answering


def test_newest_version_alone_is_served_by_default(plain):
    assert asked(plain) == 5
    code, _ = status_of(lambda: asked(plain, version=1))
    assert code.name == "NOT_FOUND"


def test_what_changes_or_tells_is_off_by_default(plain):
    request = model_management_pb2.ReloadConfigRequest()
    call = plain.models.HandleReloadConfigRequest
    assert status_of(lambda: call(request, timeout=30))[0].name == "UNIMPLEMENTED"
    check = health_pb2_grpc.HealthStub(plain.channel).Check
    code, _ = status_of(lambda: check(health_pb2.HealthCheckRequest(), timeout=30))
    assert code.name == "UNIMPLEMENTED"
    status, _ = plain.http("GET", "/monitoring/prometheus/metrics")
    assert status == 404


def test_rest_silence_is_limited(base):
    import socket

    flags = ("--model_name", "demo", "--model_base_path", base)
    with inside.server(*flags, "--rest_api_timeout_in_ms", 300) as answering:
        host, port = answering.rest_address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(b"POST /v1/models/demo:predict HTTP/1.1\r\n")
            start = time.monotonic()
            assert connection.recv(1000) == b""
            assert 0.2 < time.monotonic() - start < 5
