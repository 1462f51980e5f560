"""The Kubeflow pipeline, compiled, and a whole day of it on kfp's local runner."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.run_day import versions
from pipelines.run_day.folders import Base
from pipelines.run_day.settings import STEPS
from tests.pipelines.orchestration import tiny_days

pytestmark = pytest.mark.kubeflow
ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".cache" / "kubeflow-python" / "bin" / "python"


def kubeflow(*words):
    """Runs Python where kfp is; steps run in this process' Python."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "S4REC_PYTHON": sys.executable}
    command = [str(PYTHON), *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def run_day(folder, parameters):
    script = Path(__file__).with_name("run_kubeflow.py")
    return kubeflow(script, folder / "kfp", json.dumps(parameters))


def test_compiled_pipeline_has_the_steps_in_their_order(tmp_path):
    flags = ("--output", tmp_path / "day.yaml", "--image", "registry/day:1")
    done = kubeflow("-m", "pipelines.orchestration.kubeflow", *flags)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "day.yaml").read_text("utf-8")
    compiled, _, _ = text.partition("\n---")
    compiled = yaml.safe_load(compiled)
    tasks = compiled["root"]["dag"]["tasks"]
    steps, name = [], None
    while len(steps) < len(tasks):
        after = [
            n for n, t in tasks.items() if t.get("dependentTasks", [None]) == [name]
        ]
        assert len(after) == 1
        name = after[0]
        value = tasks[name]["inputs"]["parameters"]["step"]["runtimeValue"]
        steps.append(value["constant"])
        assert not tasks[name]["cachingOptions"].get("enableCache")
    assert tuple(steps) == STEPS
    executors = compiled["deploymentSpec"]["executors"].values()
    assert {e["container"]["image"] for e in executors} == {"registry/day:1"}


def test_whole_day_on_the_local_runner(tmp_path):
    parameters = tiny_days.write(tmp_path)
    done = run_day(tmp_path, parameters)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    base = Base(Path(parameters["base"]), "shop")
    assert versions.in_service(base).number == 1
    logs = sorted(path.name for path in base.day(1).root.glob("steps/*.log"))
    assert "bless.log" in logs and "infra_validate.log" in logs


def test_refused_day_fails_the_pipeline(tmp_path):
    parameters = tiny_days.write(tmp_path)
    Path(parameters["logs"]).write_text("user,item,time\nno,time,here\n")
    done = run_day(tmp_path, parameters)
    assert done.returncode != 0
    assert "day 1 is refused at prepare" in done.stdout + done.stderr
    assert versions.numbers(Base(Path(parameters["base"]), "shop")) == []
