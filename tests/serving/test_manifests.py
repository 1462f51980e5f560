"""Manifests that deploy TF Serving match published schemas, and the files beside it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import promql_parser
import pytest
import yaml

from serving import metrics

SERVING = Path(__file__).parents[2] / "serving"
DEPLOY = SERVING / "deploy"
OBJECTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text("utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana_dashboard.json").read_text("utf-8"))
ALERTS = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))


def named(kind):
    (found,) = [entry for entry in OBJECTS if entry["kind"] == kind]
    return found


@pytest.mark.parametrize("number", range(len(OBJECTS)))
@pytest.mark.parametrize("version", ["1.29", "1.34"])
def test_kubernetes_takes_every_object(number, version):
    kubernetes_validate.validate(OBJECTS[number], version, strict=True)


def test_kubernetes_schema_sees_a_wrong_field():
    wrong = {**named("Service"), "spec": {"ports": [{"prot": 1}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_compose_file_fits_the_compose_specification(tmp_path):
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.compose-spec"]
    path = DEPLOY / "docker-compose.yml"
    done = subprocess.run([*command, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(path.read_text("utf-8").replace("    image:", "    picture:", 1))
    assert subprocess.run([*command, str(wrong)], capture_output=True).returncode == 1


def test_configuration_is_that_of_the_files():
    data = named("ConfigMap")["data"]
    assert sorted(data) == [
        "batching_parameters.txt",
        "models.config",
        "monitoring.config",
    ]
    for name, text in data.items():
        assert text == (SERVING / name).read_text("utf-8")


def test_files_that_are_mounted_are_there():
    mounts = [
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service["volumes"]
        if volume.startswith(".")
    ]
    assert len(mounts) >= 6
    assert [path for path in mounts if not (DEPLOY / path).is_file()] == []


def test_both_give_the_server_the_same_flags():
    (container,) = named("Deployment")["spec"]["template"]["spec"]["containers"]
    service = COMPOSE["services"]["tensorflow-serving"]
    assert container["image"] == service["image"]
    only_kubernetes = set(container["args"]) - set(service["command"])
    assert only_kubernetes == {
        "--enable_grpc_healthcheck_service=true",
        "--file_system_poll_wait_seconds=5",
    }
    assert {"--enable_batching=true", "--enable_model_warmup=true"} <= set(
        service["command"]
    )


def test_labels_and_ports_meet():
    pod = named("Deployment")["spec"]["template"]
    labels = pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "http": 8501}
    service = named("Service")["spec"]
    assert service["selector"] == labels
    assert {port["targetPort"] for port in service["ports"]} == set(ports)
    for kind in ("PodDisruptionBudget", "Deployment"):
        assert named(kind)["spec"]["selector"]["matchLabels"] == labels
    probes = [name for name in container if name.endswith("Probe")]
    assert len(probes) == 3
    assert {container[name]["grpc"]["port"] for name in probes} == {8500}


QUERIES = [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
] + [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]

# TF Serving's own names (util.cc, batching_session.cc), as Prometheus reads them.
METRICS = {
    ":tensorflow:serving:request_count",
    ":tensorflow:serving:request_latency_bucket",
    ":tensorflow:serving:runtime_latency_bucket",
    ":tensorflow:serving:model_warmup_latency_bucket",
    ":tensorflow:serving:batching_session:queuing_latency_bucket",
    ":tensorflow:serving:batching_session:processed_batch_size_sum",
    ":tensorflow:serving:batching_session:processed_batch_size_count",
}
RECORDED = {
    rule["record"]
    for group in ALERTS["groups"]
    for rule in group["rules"]
    if "record" in rule
}


def own_metrics():
    """The embedded server's further names, as a scrape of them shows."""
    lines = re.findall(r"^# TYPE (:s4rec:\S+) (\w+)", metrics.page(), re.MULTILINE)
    parts = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",)}
    return {name + part for name, kind in lines for part in parts[kind]}


@pytest.mark.parametrize("query", QUERIES)
def test_query_is_promql_over_metrics_that_there_are(query):
    promql_parser.parse(query)
    names = set(re.findall(r"(?<![\w:]):(?:tensorflow|s4rec)[\w:]+", query))
    assert names <= METRICS | RECORDED | own_metrics()


def test_dashboard_has_the_data_source_that_is_provided():
    sources = yaml.safe_load((DEPLOY / "grafana_sources.yml").read_text("utf-8"))
    (source,) = sources["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {
        source["uid"]
    }
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers) == 14


def test_no_two_panels_lie_over_each_other():
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
