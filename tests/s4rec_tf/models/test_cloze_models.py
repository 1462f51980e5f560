"""BERT4Rec and S3-Rec: gaps, segments, and training in stages."""

import json

import keras
import numpy as np
import pytest

from s4rec_tf import spec
from s4rec_tf.models import bert4rec
from s4rec_tf.models.registry import MODELS
from s4rec_tf.models.weighted_terms import MAIN_STAGE
from s4rec_tf.runs import config
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train.stages import Stage, stages_of
from s4rec_tf.train.tensorflow import trainer
from s4rec_tf.train.tensorflow.refit import refit
from tests.s4rec_tf import reference
from tests.s4rec_tf.models.test_contrast_models import batch
from tests.s4rec_tf.small_runs import (
    arrays,
    as_numpy,
    chain_dataset,
    train_with_a_break,
)

NUM_ITEMS = 20
SMALL = {"max_length": 6, "dim": 8, "dropout": 0.0, "num_layers": 1}


def build(name, **settings):
    keras.utils.set_random_seed(1)
    model = MODELS[name]({**SMALL, **settings}, NUM_ITEMS)
    generator = np.random.default_rng(9)
    for weight in model.trainable_weights:
        weight.assign(weight + generator.normal(0, 0.3, weight.shape))
    return model


def test_gaps_hide_a_share_and_always_something():
    items = np.tile(np.arange(1, 7, dtype=np.int32), (4000, 1))
    items[::2, :3] = 0
    seed = keras.random.SeedGenerator(3)
    for mask_prob, last_share in ((0.3, 0.0), (0.0, 0.0), (0.3, 1.0)):
        ids, targets = map(
            np.asarray, bert4rec.cloze_mask(items, mask_prob, last_share, seed)
        )
        hidden = targets > 0
        np.testing.assert_array_equal(ids, np.where(hidden, spec.MASK_ID, items))
        np.testing.assert_array_equal(targets, np.where(hidden, items, 0))
        assert hidden.any(axis=1).all()
        np.testing.assert_allclose(hidden[1::2, :5].mean(), mask_prob, atol=0.02)
        # The last one by chance, or where all others and it were spared: q + (1 - q)^n.
        rest = 1 - mask_prob
        expected = 1.0 if last_share else mask_prob + rest**6
        np.testing.assert_allclose(hidden[1::2, 5].mean(), expected, atol=0.03)


def test_bert4rec_fills_gaps_by_softmax_over_all_items():
    model, given = build("bert4rec"), batch()
    states, targets = model(given, training=True)
    whole = np.concatenate([given["item_ids"][:, 1:], given["target_ids"]], axis=1)
    targets = np.asarray(targets)
    np.testing.assert_array_equal(targets[:, -1], given["target_ids"][:, 0])
    assert set(targets[targets > 0]) <= set(whole[targets > 0])
    logits = reference.unit(as_numpy(states)) / 0.07
    table = as_numpy(model.item_embedding.table)
    probabilities = reference.softmax(logits @ reference.unit(table).T)
    expected = -np.mean(
        [
            np.log(probabilities[row, column, targets[row, column] - 1])
            for row, column in np.argwhere(targets > 0)
        ]
    )
    found = model.loss_terms(given, (states, targets))["next_item"]
    assert float(found) == pytest.approx(expected, abs=1e-4)


def test_bert4rec_reads_in_both_directions_and_asks_by_a_gap():
    model = build("bert4rec")
    items = np.array([[0, 0, 1, 2, 3, 4]], np.int32)
    other = np.array([[0, 0, 1, 2, 3, 5]], np.int32)
    before, after = (as_numpy(model.encode(ids, 6))[0, 2] for ids in (items, other))
    assert np.abs(before - after).max() > 1e-3
    with_gap = np.array([[0, 1, 2, 3, 4, spec.MASK_ID]], np.int32)
    expected = reference.unit(as_numpy(model.encode(with_gap, 1))[:, 0]) / 0.07
    # A narrower row is the same history; a full one has no room for its first item.
    for ids in (items, items[:, 2:]):
        found = as_numpy(model.user_vectors(ids))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    full, cut = np.array([[[9, 8, 7, 1, 2, 3]], [[0, 8, 7, 1, 2, 3]]], np.int32)
    np.testing.assert_array_equal(
        as_numpy(model.user_vectors(full)), as_numpy(model.user_vectors(cut))
    )


def test_s3rec_reads_both_ways_in_pre_training_alone():
    model = build("s3rec")
    items = np.array([[0, 0, 1, 2, 3, 4]], np.int32)
    other = np.array([[0, 0, 1, 2, 3, 5]], np.int32)

    def change():
        states = [as_numpy(model.encode(ids, 6))[0, 2] for ids in (items, other)]
        return np.abs(states[0] - states[1]).max()

    assert change() == 0.0
    model.begin_stage("pretrain")
    assert change() > 1e-3
    assert set(model.loss_weights()) == {"masked_item", "segment"}
    terms = model.loss_terms(batch(), model(batch(), training=True))
    assert set(terms) == {"masked_item", "segment"}
    model.begin_stage(MAIN_STAGE)
    assert set(model.loss_weights()) == {"next_item"}


STAGED = ["epochs=2", "pretrain_epochs=1", "dim=8", "max_length=6", "num_layers=1"]
STAGED += ["schedule=cosine", "learning_rate=0.01", "patience=1"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return chain_dataset(tmp_path_factory.mktemp("data"), NUM_ITEMS)


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    trainer.train(config.resolve("s3rec", None, STAGED), dataset, run_dir)
    return RunDir(run_dir)


def logged(run):
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


def test_every_stage_logs_its_own_terms_and_the_last_alone_is_validated(uninterrupted):
    first, *rest = logged(uninterrupted)
    assert {"masked_item", "segment"} <= first.keys()
    assert not {"next_item", "val_NDCG@20"} & first.keys()
    for entry in rest:
        assert {"next_item", "val_NDCG@20"} <= entry.keys()
        assert "masked_item" not in entry
    assert uninterrupted.read_manifest()["best_epoch"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("broken_in", [1, 2])
def test_a_run_that_broke_off_resumes_as_if_it_had_not(
    dataset, uninterrupted, tmp_path, broken_in
):
    """In the first epoch of the last stage, with its new optimizer; or the second."""
    resolved = config.resolve("s3rec", None, STAGED)
    train_with_a_break(resolved, dataset, tmp_path / "run", epoch=broken_in + 1)
    trainer.train(resolved, dataset, tmp_path / "run")
    for path in (uninterrupted.last, uninterrupted.best):
        theirs = arrays(tmp_path / "run" / "checkpoints" / path.name)
        for name, array in arrays(path).items():
            np.testing.assert_array_equal(theirs[name], array, err_msg=name)


@pytest.mark.slow
def test_a_refit_goes_through_the_stages(dataset, uninterrupted, capsys):
    refit(uninterrupted.root, dataset)
    told = capsys.readouterr().out
    assert told.index("stage pretrain: epochs 1 to 1") < told.index("stage main")


def test_no_pre_training_is_no_stage():
    staged, plain = build("s3rec", pretrain_epochs=3), build("s3rec", pretrain_epochs=0)
    assert stages_of(staged, 5) == [Stage("pretrain", 0, 3), Stage("main", 3, 8)]
    assert stages_of(plain, 5) == [Stage("main", 0, 5)]
    assert len(plain.trainable_weights) == len(staged.trainable_weights) - 2


@pytest.mark.parametrize(
    ("name", "wrong", "received"),
    [
        ("bert4rec", {"loss": "bce"}, "'bce'"),
        ("bert4rec", {"last_share": 1.5}, "1.5"),
        ("s3rec", {"pretrain_epochs": -1}, "-1"),
        ("s3rec", {"gap_share": 0.0}, "0.0"),
        ("s3rec", {"item_weight": 0.0, "segment_weight": 0.0}, "0.0, 0.0"),
    ],
)
def test_impossible_settings_are_refused(name, wrong, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        MODELS[name]({**SMALL, **wrong}, NUM_ITEMS)
