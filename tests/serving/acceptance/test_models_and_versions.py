"""Status, metadata, versions, labels and the files that choose models."""

import json
import subprocess

import pytest
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tests.serving import inside, processes
from tests.serving.acceptance.asking import (
    TIMEOUT,
    floats,
    predict,
    predictions,
    refusal,
    request_of,
    rest,
)
from tests.serving.acceptance.conftest import ALL_VERSIONS


def test_get_model_status(server):
    (entry,) = server.status("half_plus_two").values()
    assert (entry.version, entry.state, entry.status.error_code) == (123, 30, 0)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "nope"
    call = server.models.GetModelStatus
    code, text = refusal(call, request, timeout=TIMEOUT)
    assert code == "NOT_FOUND" and "any versions of model nope" in text


def test_get_status_rest(server):
    assert server.http("GET", "/v1/models/half_plus_two") == (
        200,
        {
            "model_version_status": [
                {
                    "version": "123",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )


def test_get_model_metadata(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "several_signatures"
    request.metadata_field.append("signature_def")
    response = server.prediction.GetModelMetadata(request, timeout=TIMEOUT)
    assert response.model_spec.version.value == 123
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    names = {name for name in found.signature_def if not name.startswith("__")}
    assert names == {"serving_default", "plus_one", "both"}
    both = found.signature_def["both"]
    assert set(both.outputs) == {"sum", "product"}
    assert both.inputs["x"].dtype == types_pb2.DT_FLOAT
    assert [dim.size for dim in both.inputs["x"].tensor_shape.dim] == [-1]


def test_get_model_metadata_rest(server):
    status, document = server.http("GET", "/v1/models/scalars/metadata")
    assert status == 200
    assert document["model_spec"]["version"] == "123"
    signatures = document["metadata"]["signature_def"]["signature_def"]
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_INT32"
    assert x["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    (text,) = signatures["text"]["outputs"].values()
    # A scalar's shape is known, and empty.
    assert (text["tensor_shape"]["dim"], text["tensor_shape"]["unknown_rank"]) == (
        [],
        False,
    )


def answering(server, version=None, label=None):
    """The version that says it answered."""
    request = request_of("versions", x=floats(2))
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    response = server.prediction.Predict(request, timeout=TIMEOUT)
    assert list(response.outputs["y"].float_val) == [3.0]
    return response.model_spec.version.value


def test_predict_by_version_and_label(server):
    assert answering(server) == 5
    assert [answering(server, version=number) for number in (1, 2, 5)] == [1, 2, 5]
    assert answering(server, label="stable") == 1
    code, text = refusal(answering, server, label="canary")
    assert (code, text) == (
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: canary",
    )
    code, text = refusal(answering, server, version=7)
    assert code == "NOT_FOUND" and "Specific(versions, 7)" in text


def test_predict_by_version_and_label_rest(server):
    for path, version in {"/versions/2": "2", "/labels/stable": "1"}.items():
        assert predictions(server, "versions", {"instances": [2]}, path) == [3.0]
        _, document = server.http("GET", f"/v1/models/versions{path}")
        (entry,) = document["model_version_status"]
        assert (entry["version"], entry["state"]) == (version, "AVAILABLE")
        _, document = server.http("GET", f"/v1/models/versions{path}/metadata")
        assert document["model_spec"]["version"] == version
    assert rest(server, "versions", {"instances": [2]}, "/versions/7")[0] == 404
    assert rest(server, "versions", {"instances": [2]}, "/labels/canary")[0] == 400


def test_good_model_config(server):
    for model, expected in (("half_plus_two", 3.0), ("half_plus_three", 4.0)):
        assert predict(server, model, x=floats(2))["y"].tolist() == [expected]


def test_config_without_a_period_is_read_once(server, folder):
    text = folder.config.read_text()
    added = ("added", folder.base["half_plus_two"], "")
    folder.config.write_text(inside.models_config(added))
    try:
        with pytest.raises(AssertionError, match="in vain"):
            processes.wait_for(lambda: is_there(server, "added"), 1.5)
        assert predict(server, "half_plus_three", x=floats(2))["y"] == [4.0]
    finally:
        folder.config.write_text(text)


def is_there(server, model):
    status, _ = server.http("GET", f"/v1/models/{model}")
    return status == 200


KINDS = ["own", pytest.param("binary", marks=pytest.mark.tfserving)]


@pytest.mark.parametrize("kind", KINDS)
def test_model_config_is_reloaded(kind, folder, tmp_path):
    """By the file's polling, then by HandleReloadConfigRequest."""
    config = tmp_path / "models.config"
    two = ("half_plus_two", folder.base["half_plus_two"], "")
    three = ("half_plus_three", folder.base["half_plus_three"], "")
    config.write_text(inside.models_config(two))
    flags = [
        f"--model_config_file={config}",
        "--model_config_file_poll_wait_seconds=1",
    ]
    if kind == "own":
        flags += ["--enable_reload_config_requests", f"--reload_root={folder.root}"]
        server = processes.start_own(tmp_path / "log", *flags)
    else:
        server = processes.start_binary(tmp_path / "log", two[0], *flags)
    try:
        assert predict(server, "half_plus_two", x=floats(2))["y"] == [3.0]
        assert not is_there(server, "half_plus_three")
        config.write_text(inside.models_config(two, three))
        processes.wait_for(lambda: is_there(server, "half_plus_three"), 60)
        assert predict(server, "half_plus_three", x=floats(2))["y"] == [4.0]
        versions = ("versions", folder.base["versions"], ALL_VERSIONS)
        request = inside.reload_request(two, versions)
        answer = server.models.HandleReloadConfigRequest(request, timeout=60)
        assert answer.status.error_code == 0
        assert answering(server, label="stable") == 1
        assert not is_there(server, "half_plus_three")
    finally:
        server.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("no config {", "Invalid protobuf file: '{path}'"),
        ("model_config_list { config { unknown: 3 } }", "{path}"),
    ],
)
def test_bad_model_config(tmp_path, content, reason):
    path = tmp_path / "models.config"
    path.write_text(content)
    done = run_server(f"--model_config_file={path}")
    assert done.returncode not in (0, None)
    assert reason.format(path=path) in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_model(folder, tmp_path):
    broken = tmp_path / "half_plus_two" / "123"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"no model")
    done = run_server(
        "--model_name=half_plus_two",
        f"--model_base_path={broken.parent}",
        "--max_num_load_retries=0",
    )
    assert done.returncode not in (0, None)
    assert "half_plus_two" in done.stderr and "Traceback" not in done.stderr


def run_server(*flags):
    return subprocess.run(
        processes.command("--port", 0, "--rest_api_port", 0, *flags),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_documents_are_valid_json(server):
    _, document = server.http("GET", "/v1/models/versions")
    numbers = [entry["version"] for entry in document["model_version_status"]]
    assert numbers == ["5", "2", "1"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_config_of_the_test_is_tensorflow_servings(folder):
    """The text parses by TF Serving's own message."""
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse(
        folder.config.read_text(), model_server_config_pb2.ModelServerConfig()
    )
    assert len(config.model_config_list.config) == len(folder.base)
