"""An Airflow DAG of a day: a task for every step of `pipelines.run_day`.

Runs on Airflow 3. Its parameters are those of the command; `S4REC_PYTHON` in the
environment of the workers names the Python that has this project's stages.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

from pipelines.run_day.settings import STEPS

# Parameters come by the environment, where no shell reads them as words of its own.
_COMMAND = """
set -f
exec "${S4REC_PYTHON:-python}" -m pipelines.run_day --base "$BASE" --name "$NAME" \
    --logs "$LOGS" --prepare="$PREPARE" --train="$TRAIN" --export="$EXPORT" \
    --until "$STEP" ${DAY:+--day "$DAY"} $FLAGS
"""
_TEXT = {
    "base": ("/var/lib/s4rec", "folder of all days, which every worker must see"),
    "name": ("s4rec", "name of the served model"),
    "logs": ("/var/log/shop/*.json.gz", "pattern of log files"),
    "prepare": ("", "further flags of the data job"),
    "train": ("", "further flags of the training"),
    "export": ("", "further flags of the export"),
    "flags": ("", "further flags of the day, such as --max_drop 0.1 --keep 5"),
}
_PARAMS = {
    name: Param(default, type="string", description=text)
    for name, (default, text) in _TEXT.items()
}
_BY_TIME = Param(False, type="boolean", description="split by the date of the run")

with DAG(
    dag_id="s4rec_day",
    description="New logs to a version in service, or a refusal",
    schedule="@daily",
    start_date=datetime(2000, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={**_PARAMS, "by_time": _BY_TIME},
) as dag:
    before = None
    for step in STEPS:
        task = BashOperator(
            task_id=step,
            bash_command=_COMMAND,
            env={
                "STEP": step,
                "DAY": "{{ ds if params.by_time else '' }}",
                **{name.upper(): f"{{{{ params.{name} }}}}" for name in _TEXT},
            },
            append_env=True,
            retries=1,  # a step that was killed resumes; a refusal stays one
            retry_delay=timedelta(minutes=1),
        )
        if before is not None:
            before >> task
        before = task
