"""The DAG on Airflow, by `airflow dags test` on SQLite."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.run_day import versions
from pipelines.run_day.folders import Base, read_json
from pipelines.run_day.settings import STEPS
from tests.pipelines.orchestration import tiny_days

pytestmark = pytest.mark.airflow
ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / ".cache" / "airflow-python" / "bin" / "airflow"
DAG = ROOT / "pipelines" / "orchestration" / "dags" / "s4rec_day.py"
DATE = "2014-06-08"


@pytest.fixture
def airflow(tmp_path):
    """Runs an Airflow command with a new database."""
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT),
        "S4REC_PYTHON": sys.executable,
    }

    def call(*words):
        return subprocess.run(
            [str(PROGRAM), *words],
            **{"cwd": tmp_path, "env": env, "text": True, "capture_output": True},
        )

    done = call("db", "migrate")
    assert done.returncode == 0, done.stderr
    return call


def run_day(airflow, parameters):
    """One run of the DAG; its outputs."""
    conf = ("--conf", json.dumps(parameters), "--dagfile-path", str(DAG))
    done = airflow("dags", "test", "s4rec_day", DATE, *conf)
    return done.stdout + done.stderr


def test_whole_day(airflow, tmp_path):
    parameters = {**tiny_days.write(tmp_path), "by_time": True}
    output = run_day(airflow, parameters)
    base = Base(Path(parameters["base"]), "shop")
    assert versions.numbers(base) == [1], output[-3000:]
    ended = [line for line in output.splitlines() if "end task task_id=" in line]
    tasks = [line.partition("task_id=")[2].split()[0] for line in ended]
    assert tuple(tasks) == STEPS
    # The parameters and the date came as they were given.
    steps = base.day(1).root / "steps"
    found = [read_json(steps / f"{name}.json") for name in ("bless", "dataset")]
    words = [" ".join(record["identity"]["command"]) for record in found]
    assert "--min_users 5" in words[0] and f"--test_from {DATE}" in words[1]


def test_failing_task_ends_the_run_and_no_shell_reads_parameters(airflow, tmp_path):
    parameters = tiny_days.write(tmp_path)
    parameters |= {"logs": str(tmp_path / "none; touch $HOME")}
    output = run_day(airflow, parameters)
    assert f"--logs names no file. Received: '{tmp_path}/none; touch $HOME'" in output
    assert not (tmp_path / "base" / "serving").exists()
