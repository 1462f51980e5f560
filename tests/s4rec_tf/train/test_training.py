"""Runs: resumed exactly, finished once, refused when they are another's."""

import hashlib
import json
import platform
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.runs import checkpoints, config, restore
from s4rec_tf.runs.run_dir import RunDir, RunError
from s4rec_tf.train import setup
from s4rec_tf.train.tensorflow import trainer
from s4rec_tf.train.tensorflow.refit import refit
from tests import forked
from tests.s4rec_tf.small_runs import arrays, chain_dataset, train_with_a_break

NUM_ITEMS = 20
SMALL = ["epochs=3", "dim=8", "max_length=6", "num_layers=1", "num_intents=4"]
SMALL += ["seed=5", "alpha=0.2"]
SMALLEST = ["epochs=3", "dim=8", "max_length=6", "num_layers=1", "seed=5"]
"""Of SASRec, where the model does not matter but the process does."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return chain_dataset(tmp_path_factory.mktemp("data"), NUM_ITEMS)


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    trainer.train(config.resolve("s4rec", None, SMALL), dataset, run_dir)
    return run_dir


def assert_same_run(one, other):
    for checkpoint in ("last", "best"):
        ours = arrays(getattr(RunDir(one), checkpoint))
        theirs = arrays(getattr(RunDir(other), checkpoint))
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(theirs[name], array, err_msg=name)
    epochs = [
        [json.loads(line)["epoch"] for line in RunDir(run).metrics.open()]
        for run in (one, other)
    ]
    assert epochs[0] == epochs[1] == [1, 2, 3]


@pytest.mark.slow
def test_a_run_that_broke_off_resumes_as_if_it_had_not(
    dataset, uninterrupted, tmp_path
):
    resolved = config.resolve("s4rec", None, SMALL)
    train_with_a_break(resolved, dataset, tmp_path / "run")
    assert not RunDir(tmp_path / "run").is_finished()
    trainer.train(resolved, dataset, tmp_path / "run")
    assert_same_run(uninterrupted, tmp_path / "run")


def flags_of(dataset, run_dir, model, settings):
    place = [f"--dataset={dataset.root}", f"--run_dir={run_dir}"]
    return [*place, f"--model={model}", "--set", *settings]


@pytest.mark.parametrize(
    ("model", "settings"),
    [("sasrec", SMALLEST), pytest.param("s4rec", SMALL, marks=pytest.mark.slow)],
)
def test_the_command_resumes_after_kill_minus_nine(dataset, tmp_path, model, settings):
    whole, run_dir = tmp_path / "whole", tmp_path / "run"
    trainer.train(config.resolve(model, None, settings), dataset, whole)
    flags = flags_of(dataset, run_dir, model, settings)
    # Other numbers of threads than this process: the result is the same.
    threads = [{"TF_NUM_INTRAOP_THREADS": number} for number in ("3", "1")]
    process = forked.Command("s4rec_tf.train", *flags, env=threads[0])
    for line in process.stdout:
        if line.startswith("epoch 1:"):
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait(60) == -signal.SIGKILL
    assert not RunDir(run_dir).is_finished()
    done = forked.run("s4rec_tf.train", *flags, env=threads[1])
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stdout
    assert "flags: {" in done.stderr and "'TF_NUM_INTRAOP_THREADS': '3'" in done.stderr
    assert_same_run(whole, run_dir)


def test_a_finished_run_says_so_and_trains_no_more(dataset, uninterrupted, capsys):
    before = RunDir(uninterrupted).last.stat().st_mtime_ns
    trainer.train(config.resolve("s4rec", None, SMALL), dataset, uninterrupted)
    assert "is finished" in capsys.readouterr().out
    assert RunDir(uninterrupted).last.stat().st_mtime_ns == before


def test_another_configuration_is_refused_with_the_difference(dataset, uninterrupted):
    other = config.resolve("s4rec", None, [*SMALL, "alpha=0.7", "seed=6"])
    with pytest.raises(RunError, match=r"alpha: 0\.2 there, 0\.7.*seed: 5 there"):
        trainer.train(other, dataset, uninterrupted)


def test_another_dataset_is_refused(uninterrupted, tmp_path):
    sequences = small_datasets.markov_sequences(80, NUM_ITEMS, seed=4)
    root = small_datasets.write_dataset(tmp_path / "other", sequences, NUM_ITEMS)
    here = RunDir(uninterrupted).read_manifest()["dataset_fingerprint"]
    asked = spec.DatasetDir(root).fingerprint()
    both = f"another dataset.* {here}. Received: {asked}"
    with pytest.raises(RunError, match=both):
        trainer.train(
            config.resolve("s4rec", None, SMALL), spec.DatasetDir(root), uninterrupted
        )
    with pytest.raises(RunError, match=both):
        restore.restore_best(uninterrupted, spec.DatasetDir(root))


def test_a_second_trainer_is_kept_out(dataset, tmp_path):
    resolved = config.resolve("popularity")
    with (
        RunDir(tmp_path).lock(),
        pytest.raises(RunError, match="another"),
    ):
        trainer.train(resolved, dataset, tmp_path)


def test_manifest_names_all_that_a_result_depends_on(dataset, uninterrupted):
    manifest = RunDir(uninterrupted).read_manifest()
    assert manifest["seed"] == 5 and manifest["code_version"]
    assert manifest["dataset_fingerprint"] == dataset.fingerprint()
    found = manifest["environment"]
    package = Path(restore.__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    assert found["code_sha256"] == digest.hexdigest()
    assert found["libraries"]["tensorflow"] == tf.__version__
    assert found["libraries"]["numpy"] == np.__version__
    assert (found["backend"], found["device"]) == ("tensorflow", "1 x CPU")
    assert found["python"] == platform.python_version()
    assert found["processor"] and found["threads"] >= 1


def test_every_loss_term_reaches_tensorboard_and_the_log(uninterrupted):
    from tensorboard.backend.event_processing import event_accumulator

    run = RunDir(uninterrupted)
    names = set()
    for folder in run.tensorboard.iterdir():
        events = event_accumulator.EventAccumulator(str(folder))
        events.Reload()
        names |= set(events.Tags()["tensors"])
    terms = ("next_item", "clustering", "contrastive", "distillation", "adversarial")
    for term in terms:
        assert {f"epoch_{term}", f"epoch_{term}_weighted"} <= names
    assert {"epoch_prototype_perplexity", "epoch_head_rate_median"} <= names
    line = json.loads(run.metrics.read_text().splitlines()[0])
    assert line["clustering_weighted"] == pytest.approx(0.2 * line["clustering"], 1e-3)


@pytest.mark.slow
def test_refit_learns_from_every_users_last_items(dataset, uninterrupted):
    model = refit(uninterrupted, dataset)
    best, _ = restore.restore_best(uninterrupted, dataset)
    counts = np.loadtxt(dataset.item_counts)
    np.testing.assert_array_equal(np.asarray(model.item_counts), counts)
    assert np.asarray(best.item_counts).sum() == counts.sum() - 2 * 80
    again = refit(uninterrupted, dataset)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_the_cosine_schedule_rises_and_falls_over_all_steps(dataset):
    chosen = config.resolve(
        "s4rec", None, [*SMALL, "schedule=cosine", "learning_rate=0.02", "epochs=8"]
    )
    train = records.read_split(dataset, "train")
    optimizer = setup.build_for_training(chosen, dataset.info(), train).optimizer
    prefixes = int(np.sum(np.maximum(train.lengths - 1, 0)))
    steps = 8 * (prefixes // 16)
    warmup = steps // 20

    def rate(step):
        optimizer.iterations.assign(step)
        return float(optimizer.learning_rate)

    assert rate(0) == 0
    assert rate(warmup) == pytest.approx(0.02)
    assert rate(warmup + (steps - warmup) // 2) == pytest.approx(0.01, rel=0.02)
    assert rate(steps) == pytest.approx(0, abs=1e-6)


def test_refit_needs_a_finished_run(dataset, tmp_path):
    run = RunDir(tmp_path / "run")
    run.begin(config.resolve("sasrec"), dataset)
    with pytest.raises(RunError, match="finished"):
        refit(run.root, dataset)


def test_popularity_trains_like_any_other(dataset, tmp_path):
    progress = trainer.train(config.resolve("popularity"), dataset, tmp_path / "run")
    assert progress.epochs_done == 1
    assert RunDir(tmp_path / "run").is_finished()


def test_a_damaged_dataset_is_named(tmp_path):
    sequences = small_datasets.markov_sequences(20, NUM_ITEMS)
    root = small_datasets.write_dataset(tmp_path / "dataset", sequences, NUM_ITEMS)
    shard = root / "valid" / "part-00000-of-00001.tfrecord.gz"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(spec.DatasetError, match="part-00000-of-00001"):
        trainer.train(
            config.resolve("popularity"), spec.DatasetDir(root), tmp_path / "run"
        )


def test_a_batch_larger_than_the_data_is_refused(dataset, tmp_path):
    resolved = config.resolve("sasrec", None, ["batch_size=5000"])
    with pytest.raises(ValueError, match="5000"):
        trainer.train(resolved, dataset, tmp_path / "run")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.unlink(), "no checkpoint"),
    ],
)
def test_a_broken_checkpoint_is_named(tmp_path, damage, message):
    path = tmp_path / "last.npz"
    checkpoints.write_checkpoint(path, [np.ones(3)], {"epochs_done": 1})
    assert checkpoints.read_state(path) == {"epochs_done": 1}
    damage(path)
    with pytest.raises(checkpoints.CheckpointError, match=message):
        checkpoints.read_state(path)
