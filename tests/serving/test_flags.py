"""TF Serving's command lines start, and what means nothing here is named."""

import shlex

import pytest

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


@pytest.mark.parametrize("name", flags.MEANS_NOTHING)
def test_what_means_nothing_is_named_once(name):
    for text in (f"--{name}=4", f"--{name} 4"):
        (line,) = flags.meaningless(parsed(text))
        assert line.startswith(f"--{name} means nothing here: ")
    assert flags.meaningless(parsed("")) == []


@pytest.mark.parametrize(
    "text",
    ["--enable_batching=perhaps", "--no_such_flag", "--use_alts_credentials=true"],
)
def test_what_cannot_be_done_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        parsed(text)
    assert text.partition("=")[0] in capsys.readouterr().err


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
