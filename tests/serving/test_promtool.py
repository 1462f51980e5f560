"""Alerts and dashboard by Prometheus' own tool, on made-up series."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.serving.fetch_promtool import PROMTOOL

pytestmark = pytest.mark.promtool
DEPLOY = Path(__file__).parents[2] / "serving" / "deploy"
SERIES = Path(__file__).parent / "alerts_test.yml"


def promtool(*words):
    command = [str(PROMTOOL), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    "words", [("rules", DEPLOY / "alerts.yml"), ("config", DEPLOY / "prometheus.yml")]
)
def test_prometheus_takes_the_files(words):
    done = promtool("check", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 rules found" in done.stdout


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path):
    dashboard = json.loads((DEPLOY / "grafana_dashboard.json").read_text("utf-8"))
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    rules = [{"record": f"query_{n}", "expr": q} for n, q in enumerate(queries)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout and len(queries) > 15


def test_each_alert_fires_where_it_must_and_only_there():
    done = promtool("test", "rules", SERIES)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts():
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule["alert"] for g in groups for rule in g["rules"] if "alert" in rule]


@pytest.mark.parametrize("name", alerts())
def test_an_alert_that_never_fires_is_noticed(name, tmp_path):
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == name:
                rule["expr"] = f"({rule['expr']}) > Inf"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    text = SERIES.read_text("utf-8")
    text = text.replace("../../serving/deploy/alerts.yml", "alerts.yml")
    (tmp_path / "test.yml").write_text(text)
    done = promtool("test", "rules", tmp_path / "test.yml")
    assert done.returncode == 1 and name in done.stdout + done.stderr
