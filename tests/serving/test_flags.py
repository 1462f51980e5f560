"""TF Serving's command lines start, and what means nothing here is named."""

import shlex

import pytest

import s4rec_tf
from serving import flags
from tests.serving import inside
from tests.serving.test_manifests import COMPOSE, named

BASE = "--model_base_path=/models/m"


def parsed(text):
    return flags.parse_args([BASE, *shlex.split(text)])


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("", "model_name", "default"),
        ("", "enable_batching", False),
        ("--enable_batching", "enable_batching", True),
        ("--enable_batching=true", "enable_batching", True),
        ("--enable_batching=false", "enable_batching", False),
        ("--enable_batching=1 --port=1", "port", 1),
        ("--enable_model_warmup=false", "enable_model_warmup", False),
        ("", "enable_model_warmup", True),
        ("--saved_model_tags=serve,gpu", "saved_model_tags", "serve,gpu"),
        ("--max_num_load_retries=-1", "max_num_load_retries", -1),
        ("--file_system_poll_wait_seconds=0", "file_system_poll_wait_seconds", 0),
        ("--file_system_poll_wait_seconds=-1", "file_system_poll_wait_seconds", -1),
        (
            "--tensorflow_session_parallelism=3",
            "tensorflow_intra_op_parallelism",
            3,
        ),
        (
            "--tensorflow_session_parallelism=3",
            "tensorflow_inter_op_parallelism",
            3,
        ),
    ],
)
def test_flags_are_read_as_tensorflow_serving_reads_them(text, name, value):
    assert getattr(parsed(text), name) == value


@pytest.mark.parametrize("name", flags.NO_EFFECT)
def test_what_has_no_effect_is_named_once(name):
    for text in (f"--{name}=4", f"--{name} 4"):
        (line,) = flags.without_effect(parsed(text))
        assert line.startswith(f"--{name} has no effect here: ")
    assert flags.without_effect(parsed("")) == []


@pytest.mark.parametrize(
    "text",
    ["--enable_batching=perhaps", "--no_such_flag", "--max_num_load_retries=-2"],
)
def test_what_cannot_be_done_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        parsed(text)
    assert text.partition("=")[0] in capsys.readouterr().err


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as caught:
        flags.parse_args(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"s4rec-tf {s4rec_tf.__version__}\n"


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", "available"),
        ("--allow_version_labels_for_unavailable_models=true", "new"),
        ("--force_allow_any_version_labels_for_unavailable_models", "any"),
    ],
)
def test_labels_of_versions_that_are_not_available(text, labels):
    assert parsed(text).unavailable_labels == labels


def test_alts_and_tls_exclude_each_other(capsys):
    assert parsed("--use_alts_credentials=true").use_alts_credentials
    with pytest.raises(SystemExit):
        parsed("--use_alts_credentials --ssl_config_file=/f")
    assert "--use_alts_credentials" in capsys.readouterr().err


def test_own_manifests_start(served_export, tmp_path):
    (container,) = named("Deployment")["spec"]["template"]["spec"]["containers"]
    commands = [container["args"], COMPOSE["services"]["tensorflow-serving"]["command"]]
    for command in commands:
        assert flags.parse_args(command).enable_batching is True
    data = named("ConfigMap")["data"]
    for name, text in data.items():
        text = text.replace("/models/s4rec", str(served_export.export_dir))
        (tmp_path / name).write_text(text)
    own = [flag.replace("/config", str(tmp_path)) for flag in container["args"]]
    ports = ("--port", "--rest_api_port", "--file_system_poll")
    with inside.server(*(f for f in own if not f.startswith(ports))) as server:
        assert server.http("GET", "/v1/models/s4rec")[0] == 200
