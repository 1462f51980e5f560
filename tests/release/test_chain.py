"""The wheel in a fresh environment: from a log to an answer, in an empty folder."""

import json
import re
import subprocess
import tarfile
import zipfile

import pytest

from tests.release.installed import (
    build,
    copy_of_what_is_committed,
    environment,
    outside,
    run,
)

pytestmark = pytest.mark.release
READY = re.compile(r"serving: grpc=(\S+) rest=\S+ model=\S+ version=1$")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist."""
    source = copy_of_what_is_committed(tmp_path_factory.mktemp("source"))
    return build(source, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def programs(built, tmp_path_factory):
    wheel = f"{built[0]}[beam,train,serve,completion]"
    return environment(
        tmp_path_factory.mktemp("python") / "env", wheel, "constraints.txt"
    )


@pytest.fixture(scope="module")
def s4rec(programs, tmp_path_factory):
    """Runs `s4rec` in an empty folder; `s4rec.folder`."""
    folder = tmp_path_factory.mktemp("empty")

    def call(*argv):
        return run(programs / "s4rec", *argv, cwd=folder, env=outside(programs))

    call.folder = folder
    call.programs = programs
    return call


def test_wheel_holds_the_packages_their_data_and_the_licence(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    tops = {name.split("/")[0] for name in names}
    packages = {"beam_jobs", "pipelines", "s4rec_tf", "serving"}
    assert tops - packages == {f"s4rec_tf-{version(built)}.dist-info"}
    assert {
        "s4rec_tf/configs/default.yaml",
        "serving/deploy/docker-compose.yml",
    } <= names
    assert "beam_jobs/dataset/schema.pbtxt" in names
    assert any(name.endswith("/LICENSE") for name in names)


def version(built):
    return built[0].name.split("-")[1]


def test_sdist_gives_the_same_wheel(built, tmp_path):
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    source = next(tmp_path.iterdir())
    assert (source / "constraints.txt").exists() and (source / "CHANGELOG.md").exists()
    again, _ = build(source, tmp_path / "dist")
    contents = [
        {entry.filename: entry.CRC for entry in zipfile.ZipFile(path).infolist()}
        for path in (built[0], again)
    ]
    assert contents[0] == contents[1]


def test_nothing_of_the_repository_is_imported(s4rec):
    code = "import s4rec_tf, serving, beam_jobs, pipelines; print(s4rec_tf.__file__)"
    python = s4rec.programs / "python"
    found = run(python, "-c", code, cwd=s4rec.folder, env=outside(s4rec.programs))
    assert found.startswith(str(s4rec.programs.parent))


def test_whole_chain(s4rec, built):
    assert s4rec("--version").startswith(f"s4rec {version(built)} ")
    size = ("--users", 400, "--items", 400, "--intents", 8)
    s4rec("synthesize", "--output", "logs/reviews.json.gz", *size)
    s4rec("prepare", "--input", "logs/*.gz", "--format", "amazon", "--output", "data")
    model = ("--model", "s4rec", "--set", "epochs=1", "num_intents=8")
    s4rec("train", "--dataset", "data", "--run_dir", "run", *model)
    run_flags = ("--dataset", "data", "--run_dir", "run")
    metrics = json.loads(s4rec("evaluate", *run_flags).splitlines()[-1])
    assert 0 < metrics["NDCG@20"] <= 1
    s4rec("export", *run_flags, "--export_dir", "export/shop")
    assert (s4rec.folder / "export/shop/1/saved_model.pb").exists()
    history = s4rec("show", "data").splitlines()[0].split("\t")[1].split()
    answer = ask_a_server(s4rec, history[:3])
    items = [line.split("\t")[0] for line in answer.splitlines()]
    assert len(items) == 5 and not set(items) & set(history[:3])


def ask_a_server(s4rec, history):
    flags = ("--model_name", "shop", "--model_base_path", "export/shop")
    ports = ("--port", "0", "--rest_api_port", "0")
    server = subprocess.Popen(
        [s4rec.programs / "s4rec", "serve", *flags, *ports],
        **{"cwd": s4rec.folder, "env": outside(s4rec.programs)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        target = READY.match(server.stdout.readline().strip())[1]
        asked = ("--history", ",".join(history), "--k", 5)
        return s4rec("ask", "--target", target, "--model_name", "shop", *asked)
    finally:
        server.terminate()
        assert server.wait(60) == 0
