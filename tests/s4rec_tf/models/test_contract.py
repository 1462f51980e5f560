"""One set of promises for every registered model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf import config, spec, testing
from s4rec_tf.data import records
from s4rec_tf.models.base import LAST_STAGE
from s4rec_tf.models.registry import MODELS, model_class
from s4rec_tf.train import loop, runs

NUM_ITEMS = 24
GRADIENT_MODELS = sorted(set(MODELS) - {"popularity"})
SMALL = {"max_length": 10, "dim": 16, "num_intents": 6, "dropout": 0.1}
SMALL |= {"pretrain_epochs": 1}


def build(name, **settings):
    keras.utils.set_random_seed(2)
    model_settings = model_class(name).Settings
    known = {
        key: value
        for key, value in {**SMALL, **settings}.items()
        if key in model_settings.__dataclass_fields__
    }
    model = MODELS[name](known, NUM_ITEMS)
    model.prepare(np.arange(NUM_ITEMS)[::-1] + 1)
    return model


def histories(rows=9, length=10):
    generator = np.random.default_rng(3)
    lengths = generator.integers(1, length + 1, rows)
    ids = generator.integers(1, NUM_ITEMS + 1, (rows, length))
    return np.where(np.arange(length) >= length - lengths[:, None], ids, 0).astype(
        np.int32
    )


def scores(model, item_ids):
    users, items = model.user_vectors(item_ids), model.item_vectors()
    if not model.scores_by_product:
        return np.asarray(model.pair_scores(users[:, None], items[None]))
    return keras.ops.convert_to_numpy(users) @ keras.ops.convert_to_numpy(items).T


@pytest.fixture(scope="module")
def batch():
    items = histories()
    generator = np.random.default_rng(4)
    return {
        "item_ids": items,
        "target_ids": generator.integers(1, NUM_ITEMS + 1, (9, 1)).astype(np.int32),
        "user_index": np.arange(9, dtype=np.int32),
        "is_head": np.arange(9) < 2,
        "future_ids": items[::-1],
        "view_1": np.where(items > 0, np.maximum(items - 1, -1), 0) - (items == 1),
        "view_2": np.where(items > 0, items % NUM_ITEMS + 1, 0),
    }


@pytest.mark.parametrize("name", sorted(MODELS))
def test_scores_cover_the_items_and_nothing_else(name):
    received = scores(build(name), histories())
    assert received.shape == (9, NUM_ITEMS)
    assert np.isfinite(received).all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_row_without_items_gets_finite_scores(name):
    assert np.isfinite(scores(build(name), np.zeros((2, 10), np.int32))).all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_company_in_the_batch_changes_no_score(name):
    model, items = build(name), histories()
    alone = np.concatenate([scores(model, row[None]) for row in items])
    np.testing.assert_allclose(scores(model, items), alone, atol=1e-5)


@pytest.mark.parametrize("name", GRADIENT_MODELS)
def test_every_weight_gets_a_gradient(name, batch):
    model = build(name, dropout=0.0)
    missing = {weight.path for weight in model.trainable_weights}
    for stage in (*model.early_stages(), LAST_STAGE):
        model.begin_stage(stage)
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch, y_pred=model(batch, training=True))
        gradients = tape.gradient(loss, model.trainable_weights)
        found = zip(model.trainable_weights, gradients, strict=True)
        missing -= {weight.path for weight, gradient in found if gradient is not None}
    # The mask vector only learns from a view that hides an item.
    assert [path for path in missing if "mask_vector" not in path] == []


@pytest.mark.parametrize("name", sorted(MODELS))
def test_saved_and_loaded_scores_alike(name, tmp_path):
    model = build(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        scores(loaded, histories()), scores(model, histories()), atol=1e-6
    )


@pytest.mark.parametrize("name", sorted(MODELS))
def test_configuration_survives_json(name):
    resolved = config.resolve(name)
    again = config.from_flat(json.loads(json.dumps(resolved.flat())))
    assert again == resolved


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Sequences in which the next item is nearly certain."""
    root = tmp_path_factory.mktemp("chain") / "dataset"
    sequences = testing.markov_sequences(200, NUM_ITEMS, noise=0.05)
    return spec.DatasetDir(testing.write_dataset(root, sequences, NUM_ITEMS))


@pytest.fixture(scope="module")
def chance(tmp_path_factory):
    """Sequences in which the next item is any of them."""
    root = tmp_path_factory.mktemp("chance") / "dataset"
    sequences = testing.markov_sequences(200, NUM_ITEMS, noise=1.0)
    return spec.DatasetDir(testing.write_dataset(root, sequences, NUM_ITEMS))


def train(name, dataset, run_dir):
    # Asked by a gap, by several vectors, or taught by others, it takes longer.
    epochs = {"bert4rec": 8, "dssrec": 8, "ssi": 8}.get(name, 4)
    overrides = [f"epochs={epochs}", "dim=16", "max_length=10", "learning_rate=0.01"]
    known = model_class(name).Settings.__dataclass_fields__
    smaller = {"num_intents": 8, "pretrain_epochs": 1, "teacher_epochs": 8}
    smaller |= {"teachers": "session"}
    overrides += [f"{key}={smaller[key]}" for key in smaller if key in known]
    resolved = config.resolve(name, None, [*overrides, "dropout=0.1"])
    return loop.train(resolved, dataset, run_dir)


@pytest.mark.parametrize("name", GRADIENT_MODELS)
def test_learns_a_chain(name, chain, tmp_path):
    assert train(name, chain, tmp_path / "run").best_value > 0.8
    model, _ = runs.restore_best(tmp_path / "run", chain)
    starts = np.arange(1, NUM_ITEMS - 2)
    items = np.concatenate([np.zeros((len(starts), 8)), starts[:, None]], axis=1)
    items = np.concatenate([items, starts[:, None] + 1], axis=1).astype(np.int32)
    follows = np.argmax(scores(model, items), axis=1) + 1
    assert np.mean(follows == starts + 2) > 0.8


def test_stays_at_chance_where_nothing_can_be_learned(chance, tmp_path):
    # NDCG@20 of a random ranking is the mean of 1/log2(1 + rank) over the items that
    # the history leaves.
    users = records.read_split(chance, "valid")
    expected = []
    for row, target in enumerate(users.target_ids):
        num_left = NUM_ITEMS - len(set(users.items(row)) - {target})
        gains = 1 / np.log2(np.arange(2, min(num_left, 20) + 2))
        expected.append(np.sum(gains) / num_left)
    value = train("sasrec", chance, tmp_path / "run").best_value
    assert value == pytest.approx(np.mean(expected), abs=0.05)


def test_popularity_ranks_by_training_actions():
    ranked = scores(build("popularity"), histories())
    np.testing.assert_array_equal(np.argsort(-ranked[0]), np.arange(NUM_ITEMS))


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(ValueError, match=r"popularity, s3rec, s4rec, sasrec.*'gru'"):
        model_class("gru")
