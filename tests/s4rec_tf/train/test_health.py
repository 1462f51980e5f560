"""Numbers that go bad stop a run, and nothing calls it finished."""

import json

import keras
import numpy as np
import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.layers import masks
from s4rec_tf.models.sasrec import SASRec
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import config, restore
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train import __main__ as command
from s4rec_tf.train import health
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer
from tests.s4rec_tf.small_runs import arrays, chain_dataset

NUM_ITEMS = 20
SMALL = ["epochs=3", "dim=8", "max_length=6", "num_layers=1", "seed=5"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return chain_dataset(tmp_path_factory.mktemp("data"), NUM_ITEMS)


def train(dataset, run_dir, *settings):
    flags = ["--dataset", str(dataset.root), "--run_dir", str(run_dir)]
    return command.main([*flags, "--model", "sasrec", "--set", *SMALL, *settings])


def test_overflow_stops_the_run_with_term_step_and_batch(dataset, tmp_path, capsys):
    # The first update makes weights of 1e38, the second step's loss overflows.
    assert train(dataset, tmp_path, "learning_rate=1e38", "score=dot") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("train: next_item, next_item_weighted must be finite.")
    assert "step 2 of epoch 1" in error and "No epoch was validated before" in error
    found = json.loads((tmp_path / "failure.json").read_text())
    assert (found["epoch"], found["step"]) == (1, 2)
    assert "next_item" in found["names"]
    batch = arrays(tmp_path / "failure_batch.npz")
    assert batch["item_ids"].shape == (16, 6) and batch["target_ids"].min() > 0
    assert set(np.unique(batch["item_ids"])) <= set(range(NUM_ITEMS + 1))
    assert not RunDir(tmp_path).is_finished()
    assert not RunDir(tmp_path).metrics.exists()


def test_diverging_run_keeps_its_last_finite_best(
    dataset, tmp_path, monkeypatch, capsys
):
    epochs = []

    def begin_epoch(model, embed_users, generator):
        epochs.append(1)
        if len(epochs) == 2:
            table = np.asarray(model.trainable_weights[0]).copy()
            table[3] = np.nan
            model.trainable_weights[0].assign(table)

    monkeypatch.setattr(SASRec, "begin_epoch", begin_epoch)
    assert train(dataset, tmp_path) == ExitCode.FAILED
    assert "The weights of epoch 1 stay the best ones" in capsys.readouterr().err
    best = arrays(RunDir(tmp_path).best)
    numbers = [a for name, a in best.items() if name not in ("state", "sha256")]
    assert numbers and all(np.isfinite(array).all() for array in numbers)
    assert not RunDir(tmp_path).is_finished()
    lines = [json.loads(line) for line in RunDir(tmp_path).metrics.open()]
    assert [line["epoch"] for line in lines] == [1]


def test_weight_that_no_loss_looks_at_is_found_at_the_epochs_end(
    dataset, tmp_path, monkeypatch, capsys
):
    def begin_epoch(model, embed_users, generator):
        counts = np.asarray(model.item_counts).copy()
        counts[0] = np.inf
        model.item_counts.assign(counts)

    monkeypatch.setattr(SASRec, "begin_epoch", begin_epoch)
    assert train(dataset, tmp_path) == ExitCode.FAILED
    assert "item_counts must be finite" in capsys.readouterr().err


def test_dataset_without_a_validation_user_is_refused(tmp_path, capsys):
    root = small_datasets.write_dataset(tmp_path / "data", [[1, 2], [2, 3], [3]], 3)
    dataset = spec.DatasetDir(root)
    assert len(records.read_split(dataset, "valid")) == 0
    assert train(dataset, tmp_path / "run") == ExitCode.FAILED
    assert capsys.readouterr().err.splitlines()[-1] == (
        "train: validation needs a user with at least 3 actions. Received: 3 users, "
        "the longest with 2"
    )
    assert not RunDir(tmp_path / "run").is_finished()


TERMS = {"next_item": 2.0, "next_item_weighted": 2.0}


@pytest.mark.parametrize(
    ("before", "logs", "expected"),
    [
        ({}, TERMS, None),
        (TERMS, {**TERMS, "next_item_weighted": 1.9}, None),
        (TERMS, TERMS, "no loss term has changed"),
        ({}, {"val_prototype_perplexity": 1.2}, "the prototypes have collapsed"),
        ({}, {"val_prototype_perplexity": 90.0}, None),
        ({}, {"adversarial": 0.002}, "head-tail classifier is nearly always right"),
        ({}, {"adversarial": 0.69}, None),
    ],
)
def test_epochs_figures_that_deserve_a_look(before, logs, expected):
    found = health.warnings(before, logs)
    assert len(found) == (expected is not None)
    assert expected is None or expected in found[0]


def test_dead_training_is_warned_of(dataset, tmp_path, capsys):
    # Steps too small to change a weight, and nothing random: every epoch is the same.
    settings = ["learning_rate=1e-30", "dropout=0", "batch_size=14", "optimizer=sgd"]
    assert train(dataset, tmp_path, *settings, "samples=prefix") == ExitCode.OK
    assert "epoch 2: no loss term has changed" in capsys.readouterr().err


def test_attention_on_padding_is_warned_of_once(dataset, tmp_path, monkeypatch, capsys):
    def everywhere(segments, is_causal=True):
        return keras.ops.ones_like(
            segments[:, None, :, None] == segments[:, None, None]
        )

    assert train(dataset, tmp_path / "masked") == ExitCode.OK
    assert "padding" not in capsys.readouterr().err
    monkeypatch.setattr(masks, "may_attend", everywhere)
    assert train(dataset, tmp_path / "unmasked") == ExitCode.OK
    error = capsys.readouterr().err
    assert error.count("the encoder looks at padding") == 1
    assert "warning: epoch 1: the encoder looks at padding" in error


def test_pipeline_that_gives_no_batch_stops_the_run(
    dataset, tmp_path, monkeypatch, capsys
):
    batches = TensorFlowTrainer.batches
    monkeypatch.setattr(
        TensorFlowTrainer,
        "batches",
        lambda trainer, *place: batches(trainer, *place).take(2),
    )
    assert train(dataset, tmp_path) == ExitCode.FAILED
    assert capsys.readouterr().err.splitlines()[-1] == (
        "train: the input pipeline must give a batch for every step. Received: none "
        "for step 3 of epoch 1"
    )
    assert not RunDir(tmp_path).is_finished()


def test_no_model_looks_at_padding(dataset):
    sequences = records.read_split(dataset, "valid")
    chosen = {"max_length": 6, "dim": 8}
    for name in ("gru4rec", "caser", "hgn", "bert4rec", "grec", "bsarec"):
        resolved = config.from_flat({"model": name, **chosen})
        model = restore.build_model(resolved, dataset.info())
        assert encoding.padding_influence(model, sequences) < 1e-5, name
