"""`s4rec_tf.train_arrays`, in processes that find no TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.small_datasets import markov_sequences, write_dataset
from s4rec_tf import arrays, spec, train_arrays
from s4rec_tf.data import records
from s4rec_tf.evaluate import evaluation
from s4rec_tf.runs import restore
from s4rec_tf.runs.run_dir import RunDir

PROCESS = Path(__file__).with_name("jax_process.py")
SETTINGS = ("dim=16", "num_layers=1", "num_intents=6", "max_length=8")
SETTINGS += ("batch_size=64", "learning_rate=0.01", "schedule=cosine", "epochs=3")
SETTINGS += ("auxiliary_rows=users",)


def train(file, run_dir, *flags):
    place = ["--arrays", file, "--run_dir", run_dir, "--model", "s4rec"]
    # Compiling takes most of the time: nothing is compiled twice.
    cache = str(file.with_name("compiled"))
    return subprocess.run(
        [sys.executable, PROCESS, "train", *flags, *place, "--set", *SETTINGS],
        env={
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax_training")
    rows = markov_sequences(80, 30, seed=5)
    made = spec.DatasetDir(write_dataset(folder / "dataset", rows, 30))
    arrays.write_dataset_arrays(made, folder / "dataset.npz")
    return made, folder / "dataset.npz"


@pytest.fixture(scope="module")
def whole_run(dataset, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    done = train(dataset[1], run_dir)
    assert done.returncode == 0, done.stderr
    return run_dir, done


def logged(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{**json.loads(line), "train_seconds": None} for line in lines]


def test_the_run_folder_is_that_of_the_other_loop(whole_run, dataset):
    run_dir, done = whole_run
    run = RunDir(run_dir)
    manifest = run.read_manifest()
    assert manifest["finished"]
    assert manifest["dataset_fingerprint"] == dataset[0].fingerprint()
    assert manifest["epochs_done"] == 3
    assert run.read_config().flat()["num_intents"] == 6
    entries = logged(run_dir)
    assert [entry["epoch"] for entry in entries] == [1, 2, 3]
    terms = ("next_item", "clustering", "contrastive", "distillation", "adversarial")
    for entry in entries:
        weighted = [entry[f"{term}_weighted"] for term in terms]
        assert entry["loss"] == pytest.approx(sum(weighted), abs=1e-4)
        assert 0 <= entry["val_NDCG@20"] <= 1
    assert entries[-1]["next_item"] < entries[0]["next_item"] - 0.05
    best = max(entries, key=lambda entry: entry["val_NDCG@20"])
    assert manifest["best_value"] == pytest.approx(best["val_NDCG@20"], abs=1e-6)
    assert f"best validation NDCG@20 {manifest['best_value']:.4f}" in done.stdout


def test_tensorflow_evaluates_the_run_alike(whole_run, dataset, tmp_path):
    """A model trained on JAX is exported and served from TensorFlow."""
    run_dir, _ = whole_run
    model, _ = restore.restore_best(run_dir, dataset[0])
    trained = records.read_split(dataset[0], "train").values
    counts = np.bincount(trained, minlength=model.num_items + 1)[1:]
    for split in ("valid", "test"):
        there = json.loads((run_dir / "evaluation" / f"{split}.json").read_text())
        sequences = records.read_split(dataset[0], split)
        sampling = counts if split == "test" else None
        found = evaluation.evaluate_model(model, sequences, sampling)
        assert list(there) == list(found.metrics)
        assert there == pytest.approx(found.metrics, abs=1e-4)
        with np.load(run_dir / "evaluation" / f"{split}_ranks.npz") as stored:
            np.testing.assert_array_equal(stored["ranks"], found.ranks)
            np.testing.assert_array_equal(stored["is_head"], sequences.is_head)
    values = json.loads((run_dir / "evaluation" / "valid.json").read_text())
    best = RunDir(run_dir).read_manifest()["best_value"]
    assert values["NDCG@20"] == pytest.approx(best, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("death", "place"),
    [
        (("--die_in", "2"), "after epoch 1"),
        (
            ("--die_in", "4", "--checkpoint_steps", "2"),
            "after epoch 1, step 2 of the next",
        ),
    ],
)
def test_a_killed_run_resumes_as_if_it_had_not_been(
    death, place, whole_run, dataset, tmp_path
):
    """Killed when epoch 2 is logged, but its state is not yet written."""
    run_dir = tmp_path / "killed"
    assert train(dataset[1], run_dir, *death).returncode == 9
    assert len(logged(run_dir)) == 2
    assert not (run_dir / "evaluation").exists()
    done = train(dataset[1], run_dir)
    assert done.returncode == 0, done.stderr
    assert f"resuming {run_dir} {place}\n" in done.stdout
    # Usually bit for bit; threads may add up in another order.
    for ours, theirs in zip(logged(run_dir), logged(whole_run[0]), strict=True):
        assert list(ours) == list(theirs)
        for name in ours.keys() - {"train_seconds"}:
            within = 2e-2 if name.startswith("val_") else 2e-4
            assert ours[name] == pytest.approx(theirs[name], abs=within), name
    name = "checkpoints/last.npz"
    with np.load(run_dir / name) as ours, np.load(whole_run[0] / name) as theirs:
        assert ours.files == theirs.files
        for key in set(ours.files) - {"state", "sha256"}:
            np.testing.assert_allclose(ours[key], theirs[key], atol=2e-3)


def test_a_finished_run_says_so_and_is_left_alone(whole_run, dataset):
    run_dir, _ = whole_run
    files = [path for path in run_dir.rglob("*.*") if path.name != ".lock"]
    before = [path.stat().st_mtime_ns for path in files]
    done = train(dataset[1], run_dir)
    assert done.returncode == 0, done.stderr
    assert f"{run_dir} is finished" in done.stdout
    assert [path.stat().st_mtime_ns for path in files] == before


FLAGS = ["--arrays", "none.npz", "--run_dir", "run", "--model", "sasrec"]


def test_another_backend_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert train_arrays.main(FLAGS) == 2
    assert capsys.readouterr().err == (
        "train_arrays: KERAS_BACKEND must be jax, or unset. Received: 'tensorflow'\n"
    )


def test_what_is_missing_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.chdir(tmp_path)
    assert train_arrays.main(FLAGS) == 1
    assert capsys.readouterr().err == (
        "train_arrays: there is no dataset file none.npz\n"
    )
    assert train_arrays.main([*FLAGS, "--set", "dimm=3"]) == 2
    assert "Did you mean 'dim'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(train_arrays.importlib.util, "find_spec", lambda name: None)
    assert train_arrays.main(FLAGS) == 2
    assert "it needs jax, which is not installed" in capsys.readouterr().err
