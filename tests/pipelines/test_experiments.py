"""The command itself: usage, datasets from logs, and one real run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks import small_datasets
from pipelines.experiments import __main__ as experiments
from pipelines.experiments import public_logs as experiment_datasets
from s4rec_tf import spec

ROOT = Path(__file__).parents[2]


def run_command(*arguments):
    command = [sys.executable, "-m", "pipelines.experiments", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


SMALL = "{epochs: 1, dim: 8, num_layers: 1, max_length: 6, batch_size: 32}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "settings"),
    [("popularity", "{}"), ("sasrec", SMALL)],
)
def test_a_real_run_comes_to_the_ledger(tmp_path, model, settings):
    sequences = small_datasets.markov_sequences(60, 20)
    dataset = small_datasets.write_dataset(tmp_path / "data" / "beauty", sequences, 20)
    queue = tmp_path / "queue.yaml"
    queue.write_text(
        f"- {{dataset: beauty, model: {model}, seeds: [5], settings: {settings}}}\n"
    )
    ledger = tmp_path / "runs.jsonl"
    arguments = [queue, "--data", tmp_path / "data", "--work", tmp_path / "work"]
    done = run_command(*arguments, "--ledger", ledger)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.splitlines()[-1] == "1 done"
    (line,) = ledger.read_text().splitlines()
    found = json.loads(line)
    (run_dir,) = (tmp_path / "work").iterdir()
    for split in ("valid", "test"):
        measured = json.loads((run_dir / "evaluation" / f"{split}.json").read_text())
        assert found[split] == measured
        assert 0 <= found[split]["NDCG@20"] <= found[split]["HR@20"] <= 1
    config = json.loads((run_dir / "config.json").read_text())
    assert config["seed"] == found["seed"] == 5 and found["config"] == "defaults"
    assert found["settings"] == {key: config[key] for key in yaml.safe_load(settings)}
    assert found["data_fingerprint"] == spec.DatasetDir(dataset).fingerprint()
    (epoch,) = (run_dir / "metrics.jsonl").read_text().splitlines()
    assert found["epochs"] == 1
    seconds = json.loads(epoch)["train_seconds"]
    assert found["minutes"] == pytest.approx(seconds / 60, abs=0.006)
    assert len(list((tmp_path / "ranks").iterdir())) == 1


def test_a_bad_queue_starts_nothing(tmp_path):
    queue = tmp_path / "queue.yaml"
    queue.write_text("- {dataset: mars, model: s4rec, seeds: [1]}\n")
    done = run_command(queue, "--work", tmp_path / "work")
    assert done.returncode == 2
    assert "entry 1: `dataset` must be one of" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["q", "--minutes", "0"], ["q", "--minutes", "nan"], ["q", "--minut", "3"]],
)
def test_a_wrong_command_line_is_refused(arguments):
    with pytest.raises(SystemExit) as error:
        experiments.parse_args(arguments)
    assert error.value.code == 2


def test_missing_datasets_are_made_from_their_logs(tmp_path, monkeypatch):
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("reviews_Beauty_5.slim.json.gz", "ml-1m-sequences.txt.gz"):
        (logs / name).touch()
    (tmp_path / "data" / "toys").mkdir(parents=True)
    # Stands in for the data job: the words that would follow `python`.
    job = tmp_path / "job.sh"
    job.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/calls"\n')
    job.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(job))
    names = ["toys", "beauty", "ml1m"]
    experiment_datasets.prepare(names, tmp_path / "data", logs)
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"-m beam_jobs.prepare_dataset --input {logs}/{log} --format {form} "
        f"--output {tmp_path}/data/{name}"
        for log, form, name in (
            ("reviews_Beauty_5.slim.json.gz", "amazon", "beauty"),
            ("ml-1m-sequences.txt.gz", "sequences", "ml1m"),
        )
    ]
    with pytest.raises(ValueError, match=r"reviews_Sports.*for sports.*\[\]"):
        experiment_datasets.prepare(["sports"], tmp_path / "data", logs)
    job.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ValueError, match="beauty failed with exit code 3"):
        experiment_datasets.prepare(["beauty"], tmp_path / "data", logs)
