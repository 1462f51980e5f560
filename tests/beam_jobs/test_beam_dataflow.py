"""The job's request to Dataflow, with the service and its storage left out."""

import dataclasses
import io
import json
import os
import re
import socket
import tarfile

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow import dataflow_metrics, dataflow_runner
from apache_beam.runners.dataflow.internal import apiclient
from engine_processes import contents

from beam_jobs import prepare_dataset, runner
from beam_jobs.beam_flags import UsageError
from beam_jobs.deploy import flex_template
from beam_jobs.job import NotConverged
from beam_jobs.logs.files import InputError
from s4rec_tf.spec import MANIFEST_NAME, SPLITS

IMAGE = "registry.example/s4rec:1"
FLAGS = [
    "--runner=DataflowRunner",
    "--project=some-project",
    "--region=europe-west1",
    "--temp_location=gs://some-bucket/temp",
    f"--sdk_container_image={IMAGE}",
    "--no_auth",
]
STEPS = {
    *("Read/train", "WriteActions", "GroupByUser", "StopEarly", "KCore"),
    *("KCore/Round1", "KCore/Round2", "BuildVocabulary", "WriteVocabulary"),
    *("FindHead", "MakeExamples", "WriteExamples", "WriteReport"),
}
"""Some of the steps that `beam_jobs/pipeline.py` names."""


@dataclasses.dataclass
class FakeDataflow:
    """Keeps what would go to the service.

    Attributes:
        staged: (folder, name, content) of every file.
        jobs: the requests.
        ended: how every job ends.
    """

    staged: list[tuple[str, str, bytes]] = dataclasses.field(default_factory=list)
    jobs: list[dict] = dataclasses.field(default_factory=list)
    ended: str = "DONE"

    def stage(self, folder, name, source, mime_type=None, total_size=None):
        stream = open(source, "rb") if isinstance(source, str) else source
        with stream:
            self.staged.append((folder, name, stream.read()))

    def submit(self, job):
        self.jobs.append(json.loads(job.json()))
        return job.proto

    def contents(self, name):
        return [content for _, staged, content in self.staged if staged == name]

    def graphs(self):
        return [
            beam_runner_api_pb2.Pipeline.FromString(content)
            for content in self.contents("pipeline.pb")
        ]


@pytest.fixture
def dataflow(monkeypatch):
    fake = FakeDataflow()

    def refuse(*arguments):
        raise AssertionError(f"reaches for the network: {arguments}")

    client = apiclient.DataflowApplicationClient
    result = dataflow_runner.DataflowPipelineResult
    metrics = dataflow_metrics.DataflowMetrics
    for owner, name, value in (
        (socket.socket, "connect", refuse),
        (GoogleCloudOptions, "_warn_if_soft_delete_policy_enabled", lambda *a: None),
        (apiclient, "create_storage_client", lambda *a: None),
        (client, "stage_file_with_retry", lambda self, *a, **k: fake.stage(*a, **k)),
        (client, "submit_job_description", lambda self, job: fake.submit(job)),
        (result, "wait_until_finish", lambda self, duration=None: fake.ended),
        (metrics, "query", lambda self, wanted=None: {"counters": []}),
    ):
        monkeypatch.setattr(owner, name, value)
    return fake


def steps(graph):
    """Names of a graph's steps and their parts, divided by slashes."""
    names = {part.unique_name for part in graph.components.transforms.values()}
    return {name for name in names if name and "AppliedPTransform" not in name}


@pytest.fixture
def submitted(dataflow, monkeypatch):
    """Each pipeline is submitted, and runs in this process for the driver's sake."""
    run_pipeline = runner.run_pipeline

    def submit_and_run(wire, flags, engine=None):
        run_pipeline(wire, flags)
        return run_pipeline(wire, ["--runner=FnApiRunner"])

    monkeypatch.setattr(runner, "run_pipeline", submit_and_run)
    return dataflow


@pytest.mark.slow
def test_the_whole_job_is_one_job_of_dataflow(
    tmp_path, submitted, engine_logs, image_sources
):
    argv = ["--input", str(engine_logs), "--output", str(tmp_path / "out"), *FLAGS]
    argv.append(f"--setup_file={image_sources / 'setup.py'}")
    assert prepare_dataset.run(argv) == 0

    (graph,), (job,) = submitted.graphs(), submitted.jobs
    assert steps(graph) >= STEPS | {f"Statistics/{split}" for split in SPLITS}
    assert graph.ByteSize() < 1_000_000
    (environment,) = graph.components.environments.values()
    assert IMAGE.encode() in environment.payload
    assert b"workflow.tar.gz" in environment.dependencies[0].role_payload
    options = job["environment"]["sdkPipelineOptions"]["options"]
    assert options["save_main_session"] is False
    assert (options["project"], options["region"]) == (FLAGS[1][10:], FLAGS[2][9:])
    # What the workers install holds all that they import and read.
    (package,) = submitted.contents("workflow.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(package)) as t:
        names = {name.partition("/")[2] for name in t.getnames()}
    assert names >= {"setup.py", "s4rec_tf/spec.py", "beam_jobs/dataset/schema.pbtxt"}
    modules = {
        path.relative_to(image_sources).as_posix()
        for path in image_sources.glob("beam_jobs/**/*.py")
    }
    assert len(modules) > 25
    assert names >= modules
    folders = {folder for folder, *_ in submitted.staged}
    assert all(folder.startswith("gs://some-bucket/") for folder in folders)


def test_a_core_that_needs_more_rounds_is_a_second_job_of_dataflow(
    tmp_path, submitted, no_tfdv, engine_logs
):
    argv = ["--input", str(engine_logs), "--output", str(tmp_path / "out"), *FLAGS]
    assert prepare_dataset.run([*argv, "--k_core=9", "--core_rounds=1"]) == 0
    first, second = map(steps, submitted.graphs())
    assert "KCore/Round1" in first
    assert "KCore/Round2" not in first
    assert second >= {"ReadSequences", "KCore/Round2", "WriteExamples"}
    assert second.isdisjoint({"KCore/Round1", "GroupByUser", "WriteActions"})


def test_a_hundred_thousand_logs_make_a_small_graph(tmp_path, dataflow, no_tfdv):
    """As many shards as a terabyte has, too; Dataflow takes graphs up to 10 MB."""
    (tmp_path / "logs").mkdir()
    for folder in range(10):
        # A file may have no more than some 65,000 names.
        log = tmp_path / f"log-{folder}"
        log.write_text('{"reviewerID": "u", "asin": "i", "unixReviewTime": 1}\n')
        for number in range(10_000):
            os.link(log, tmp_path / "logs" / f"part-{folder}-{number:05d}.json")
    dataflow.ended = "CANCELLED"
    argv = ["--input", f"{tmp_path}/logs/*", "--output", str(tmp_path / "out")]
    prepare_dataset.run([*argv, "--num_shards=20000", *FLAGS])
    (graph,) = dataflow.graphs()
    assert steps(graph) >= STEPS
    assert graph.ByteSize() < 1_000_000


def test_a_cancelled_job_of_dataflow_stops_the_data_job(
    tmp_path, dataflow, capsys, engine_logs
):
    dataflow.ended = "CANCELLED"
    argv = ["--input", str(engine_logs), "--output", str(tmp_path / "out"), *FLAGS]
    assert prepare_dataset.run(argv) == 1
    assert "to DONE. Received: CANCELLED" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_of_the_images_sources_is_whole(installed_copy):
    for name in (
        "beam_jobs/pipeline.py",
        "beam_jobs/dataset/schema.pbtxt",
        "beam_jobs/deploy/flex_template.py",
        "beam_jobs/deploy/flex_template.json",
        "s4rec_tf/spec.py",
    ):
        assert (installed_copy / name).is_file(), name


def test_the_image_has_the_drivers_version_of_beam(image_sources):
    dockerfile = (image_sources / "beam_jobs/deploy/Dockerfile").read_text()
    version = re.search(r"^FROM apache/beam_python3\.11_sdk:(\S+)$", dockerfile, re.M)
    pinned = re.search(
        r"^apache-beam==(\S+)$", (image_sources / "constraints.txt").read_text(), re.M
    )
    assert version[1] == pinned[1] == beam.__version__
    script = re.search(
        r"^ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/s4rec/(\S+)$", dockerfile, re.M
    )
    assert (image_sources / script[1]).is_file()


def test_the_images_sources_are_not_ignored(image_sources):
    ignored = image_sources / "beam_jobs/deploy/Dockerfile.dockerignore"
    kept = {line[1:] for line in ignored.read_text().split() if line.startswith("!")}
    assert kept == {path.name for path in image_sources.iterdir() if path.name in kept}
    names = {"setup.py", "pyproject.toml", "constraints.txt", "s4rec_tf", "beam_jobs"}
    assert kept == names


def test_the_flex_template_has_every_flag_of_the_job(image_sources, capsys):
    with pytest.raises(SystemExit):
        prepare_dataset.run(["--help"])
    flags = set(re.findall(r"^  --(\w+)", capsys.readouterr().out, re.M))
    flags -= {"quiet", "json"}  # of a terminal
    path = image_sources / "beam_jobs/deploy/flex_template.json"
    parameters = json.loads(path.read_text())["parameters"]
    assert {entry["name"] for entry in parameters} == flags | {"sdk_container_image"}
    needed = [entry["name"] for entry in parameters if not entry["isOptional"]]
    assert needed == ["output", "sdk_container_image"]
    for entry in parameters:
        assert set(entry) >= {"name", "label", "helpText", "isOptional"}
        for regex in entry.get("regexes", []):
            re.compile(regex)


@pytest.fixture
def template_flags(tmp_path, engine_logs):
    job = [f"--input={engine_logs}", f"--output={tmp_path / 'out'}", "--k_core=9"]
    launcher = [
        "--template_location=gs://some-bucket/staging/job_object",
        "--job_name=monday",
        "--staging_location=gs://some-bucket/staging",
    ]
    return [*job, *FLAGS, *launcher]


def test_the_flex_templates_graph_is_the_jobs(dataflow, no_tfdv, template_flags):
    flex_template.launch(template_flags)
    (graph,) = dataflow.graphs()
    assert steps(graph) >= STEPS | {"Finish"}
    assert dataflow.jobs == []
    (template,) = dataflow.contents("job_object")
    assert json.loads(template)["name"] == "monday"


@pytest.mark.parametrize(
    ("flag", "error"),
    [
        ("--k_core=0", SystemExit),
        ("--kcore=3", UsageError),
        ("--input=/nowhere/*", InputError),
    ],
)
def test_what_is_refused_fails_at_launch(dataflow, template_flags, flag, error):
    with pytest.raises(error):
        flex_template.launch([*template_flags, flag])
    assert dataflow.staged == []


def test_the_flex_templates_pipeline_makes_the_dataset(tmp_path, engine_logs, no_tfdv):
    flags = [f"--input={engine_logs}", "--k_core=9", "--runner=FnApiRunner"]
    assert prepare_dataset.run([*flags, f"--output={tmp_path / 'one'}"]) == 0
    flex_template.launch([*flags, f"--output={tmp_path / 'two'}"])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_a_core_of_more_rounds_fails_the_flex_template(tmp_path, engine_logs, no_tfdv):
    flags = [f"--input={engine_logs}", "--k_core=9", "--runner=FnApiRunner"]
    with pytest.raises(NotConverged, match="raise `--core_rounds`"):
        flex_template.launch(
            [*flags, f"--output={tmp_path / 'out'}", "--core_rounds=1"]
        )
    assert not (tmp_path / "out" / MANIFEST_NAME).exists()
