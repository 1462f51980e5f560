"""One set of promises for every registered model."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.evaluate import evaluation
from s4rec_tf.export import module
from s4rec_tf.export.signatures import Signatures
from s4rec_tf.models.registry import MODELS, model_class
from s4rec_tf.models.weighted_terms import MAIN_STAGE
from s4rec_tf.runs import config, restore
from s4rec_tf.train.tensorflow import trainer

NUM_ITEMS, NUM_USERS = 24, 9
GRADIENT_MODELS = sorted(set(MODELS) - {"popularity"})
ORDERLESS = {"bpr", "ncf", "popularity"}
"""Models that see which items a user had, and not in what order."""
SMALL = {
    **{"max_length": 10, "dim": 16, "num_intents": 6, "dropout": 0.1},
    **{"pretrain_epochs": 1, "teacher_epochs": 1, "teacher_dim": 16},
}
OF_WINDOWS = {"loss": "softmax", "num_targets": 1}
TRAINED_WITH = {
    "bert4rec": {"epochs": 8},
    "caser": OF_WINDOWS,
    "dssrec": {"epochs": 8},
    "fpmc": {"epochs": 8},
    "hgn": {**OF_WINDOWS, "max_length": 3},
    "s4rec": {"num_intents": 8},
    "ssi": {"epochs": 8, "teacher_epochs": 8, "teachers": "session"},
}
"""Settings beyond `SMALL` that learn a chain in four epochs of some 50 steps."""
SLOW_TO_TRAIN = {
    *("bert4rec", "bsarec", "cl4srec", "coserec", "dssrec"),
    *("grec", "iclrec", "s3rec", "ssi"),
}
"""Models that take half a minute to train: SASRec's kin, and those of stages."""
BOTH_WAYS = {"bert4rec", "grec"}
"""Models whose state at an item looks at later items by design."""


def known_settings(name, **settings):
    fields = model_class(name).Settings.__dataclass_fields__
    chosen = {**SMALL, **settings}
    return {key: value for key, value in chosen.items() if key in fields}


def build(name, **settings):
    keras.utils.set_random_seed(2)
    chosen = model_class(name).Settings(**known_settings(name, **settings))
    model = MODELS[name].of_sizes(chosen, NUM_ITEMS, NUM_USERS)
    model.prepare(np.arange(NUM_ITEMS)[::-1] + 1)
    model.register_users(user_ids())
    return model


def user_ids():
    return np.array([f"user {n}".encode() for n in range(NUM_USERS)], object)


def histories(rows=9, length=10):
    generator = np.random.default_rng(3)
    lengths = generator.integers(1, length + 1, rows)
    ids = generator.integers(1, NUM_ITEMS + 1, (rows, length))
    return np.where(np.arange(length) >= length - lengths[:, None], ids, 0).astype(
        np.int32
    )


def scores(model, item_ids, *who):
    users, items = model.user_vectors(item_ids, *who), model.item_vectors()
    if not model.is_dot_product:
        return np.asarray(model.pair_scores(users[:, None], items[None]))
    return keras.ops.convert_to_numpy(users) @ keras.ops.convert_to_numpy(items).T


def batch_for(model):
    items = histories()
    generator = np.random.default_rng(4)
    needs = model.batch_spec()
    width = 1 if needs.negatives_by_position else needs.num_negatives
    return {
        "negative_ids": generator.integers(1, NUM_ITEMS + 1, (9, width)),
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


@pytest.mark.parametrize("name", sorted(MODELS))
def test_padding_changes_no_score(name):
    model, items = build(name), histories()
    lengths = np.sum(items > 0, axis=1)
    alone = [
        scores(model, row[None, -length:])
        for row, length in zip(items, lengths, strict=True)
    ]
    np.testing.assert_allclose(scores(model, items), np.concatenate(alone), atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(MODELS) - BOTH_WAYS))
def test_a_later_item_changes_no_earlier_state(name):
    model, items = build(name), histories()
    later = items.copy()
    later[:, -1] = later[:, -1] % NUM_ITEMS + 1
    assert not np.allclose(scores(model, items), scores(model, later)) or (
        name in ORDERLESS - {"bpr"}
    )
    # Only models with a state at every position could let one see what comes after it.
    encode = getattr(model, "encode", None)
    if encode and "num_positions" in inspect.signature(encode).parameters:
        before, after = (np.asarray(encode(ids, 10)) for ids in (items, later))
        np.testing.assert_allclose(before[:, :-1], after[:, :-1], atol=1e-5)
        assert not np.allclose(before[:, -1], after[:, -1])


@pytest.mark.parametrize("name", GRADIENT_MODELS)
def test_every_weight_gets_a_gradient(name):
    model = build(name, dropout=0.0)
    missing = {weight.path for weight in model.trainable_weights}
    for stage in (*model.pretraining_stages(), MAIN_STAGE):
        model.begin_stage(stage)
        batch = batch_for(model)
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


@pytest.mark.parametrize(
    "name", sorted(n for n in MODELS if MODELS[n].has_user_embeddings)
)
def test_known_users_get_scores_of_their_own(name, tmp_path):
    model, items = build(name), histories()
    users = model.index_of_users(user_ids()[::-1])
    own = scores(model, items, users)
    assert not np.allclose(own, scores(model, items))
    unknown = np.full(len(items), -1, np.int32)
    np.testing.assert_allclose(scores(model, items, unknown), scores(model, items))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.index_of_users(user_ids()[::-1])
    np.testing.assert_allclose(scores(loaded, items, again), own, atol=1e-6)
    assert model.cold_start_policy


@pytest.mark.parametrize("name", GRADIENT_MODELS)
def test_mixed_precision_stays_finite(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(name)
        batch = batch_for(model)
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch, y_pred=model(batch, training=True))
        gradients = tape.gradient(loss, model.trainable_weights)
        assert np.isfinite(scores(model, histories())).all()
    finally:
        keras.config.set_dtype_policy("float32")
    assert loss.dtype == tf.float32 and np.isfinite(float(loss))
    for gradient in gradients:
        if gradient is not None:
            dense = tf.cast(tf.convert_to_tensor(gradient), tf.float32)
            assert np.isfinite(dense.numpy()).all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_configuration_survives_json(name):
    resolved = config.resolve(name)
    again = config.from_flat(json.loads(json.dumps(resolved.flat())))
    assert again == resolved


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Sequences in which the next item is nearly certain."""
    root = tmp_path_factory.mktemp("chain") / "dataset"
    sequences = small_datasets.markov_sequences(200, NUM_ITEMS, noise=0.05)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS))


@pytest.fixture(scope="module")
def chance(tmp_path_factory):
    """Sequences in which the next item is any of those that the user has not had.

    An item that came twice would be ranked high by a model that knows its users.
    """
    root = tmp_path_factory.mktemp("chance") / "dataset"
    generator = np.random.default_rng(8)
    lengths = generator.integers(4, 13, 200)
    sequences = [(generator.permutation(NUM_ITEMS)[:n] + 1).tolist() for n in lengths]
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS))


@pytest.fixture(scope="module")
def tastes(tmp_path_factory):
    """Every user has seven of the eight items of one of three kinds, in any order."""
    root = tmp_path_factory.mktemp("tastes") / "dataset"
    generator, sequences = np.random.default_rng(6), []
    for user in range(200):
        kind = np.arange(user % 3, NUM_ITEMS, 3) + 1
        sequences.append(generator.permutation(kind)[:7].tolist())
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS))


def train(name, dataset, run_dir):
    chosen = {"learning_rate": 0.01, "epochs": 4, **known_settings(name)}
    chosen |= TRAINED_WITH.get(name, {})
    overrides = [f"{key}={value}" for key, value in chosen.items()]
    return trainer.train(config.resolve(name, None, overrides), dataset, run_dir)


@pytest.mark.parametrize("name", sorted(ORDERLESS - {"popularity"}))
def test_learns_tastes(name, tastes, tmp_path):
    # Five of a kind's eight items are in training: one of three others is the target.
    best_value = train(name, tastes, tmp_path / "run").best_value
    assert best_value > 0.9 * np.mean(1 / np.log2([2, 3, 4]))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.slow if name in {*SLOW_TO_TRAIN, "sasrec"} else ()
        )
        for name in sorted(set(GRADIENT_MODELS) - ORDERLESS)
    ],
)
def test_learns_a_chain(name, chain, tmp_path):
    assert train(name, chain, tmp_path / "run").best_value > 0.8
    model, _ = restore.restore_best(tmp_path / "run", chain)
    starts = np.arange(1, NUM_ITEMS - 2)
    items = np.concatenate([np.zeros((len(starts), 8)), starts[:, None]], axis=1)
    items = np.concatenate([items, starts[:, None] + 1], axis=1).astype(np.int32)
    follows = np.argmax(scores(model, items), axis=1) + 1
    assert np.mean(follows == starts + 2) > 0.8


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "bpr" else pytest.mark.slow)
        for name in GRADIENT_MODELS
    ],
)
def test_stays_at_chance_where_nothing_can_be_learned(name, chance, tmp_path):
    # NDCG@20 of a random ranking is the mean of 1/log2(1 + rank) over the items that
    # the history leaves.
    users = records.read_split(chance, "valid")
    expected = []
    for row, target in enumerate(users.target_ids):
        num_left = NUM_ITEMS - len(set(users.items(row)) - {target})
        gains = 1 / np.log2(np.arange(2, min(num_left, 20) + 2))
        expected.append(np.sum(gains) / num_left)
    value = train(name, chance, tmp_path / "run").best_value
    assert value == pytest.approx(np.mean(expected), abs=0.05)


def test_popularity_ranks_by_training_actions():
    ranked = scores(build("popularity"), histories())
    np.testing.assert_array_equal(np.argsort(-ranked[0]), np.arange(NUM_ITEMS))


def test_an_unknown_model_names_the_known_ones():
    known = ", ".join(sorted(MODELS))
    with pytest.raises(ValueError, match=rf"{known}. Received: 'gru'"):
        model_class("gru")
    with pytest.raises(config.ConfigError, match=rf"{known}. Received: 'gru'"):
        config.resolve("gru")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW_TO_TRAIN else ())
        for name in sorted(MODELS)
    ],
)
def test_the_export_answers_what_evaluation_ranks(name, chain, tmp_path):
    users = records.read_split(chain, "valid")
    train_users = records.read_split(chain, "train").user_ids
    chosen = model_class(name).Settings(**known_settings(name))
    keras.utils.set_random_seed(3)
    model = MODELS[name].of_sizes(chosen, NUM_ITEMS, len(train_users))
    # Far from the small initial values, where scores hardly differ.
    for weight in model.trainable_weights:
        weight.assign(weight + keras.random.normal(weight.shape, 0, 0.3))
    model.prepare(np.arange(NUM_ITEMS)[::-1] + 1)
    model.register_users(train_users)
    expected = evaluation.evaluate_model(model, users, list_length=10).top_ids
    signature, inputs = exported(model, chain, train_users, tmp_path / "model")
    if model.has_user_embeddings:
        inputs["user_id"] = tf.constant(users.user_ids.tolist())
    answer = signature(**inputs)
    names = [[f"item-{item}" * int(item > 0) for item in row] for row in expected]
    received = [[item.decode() for item in row] for row in answer["item_ids"].numpy()]
    # An item that is the target stays in the ranking though the user has had it.
    is_new = [t not in users.items(row) for row, t in enumerate(users.target_ids)]
    assert sum(is_new) > 100
    assert np.array(received)[is_new].tolist() == np.array(names)[is_new].tolist()
    assert not answer["is_fallback"].numpy().any()


def exported(model, dataset, train_users, folder):
    """The loaded signature that knows most, and its inputs for the valid split."""
    servable = module.ServableRecommender(
        model,
        dataset.item_vocab,
        np.ones(NUM_ITEMS, np.int64),
        10,
        np.ones(NUM_ITEMS, bool),
        train_users if model.has_user_embeddings else None,
    )
    name = "recommend_for_user" if model.has_user_embeddings else "recommend"
    signatures = {name: Signatures(servable).traced()[name]}
    tf.saved_model.save(servable, str(folder), signatures=signatures)
    users = records.read_split(dataset, "valid")
    padded = users.padded(np.arange(len(users)), users.lengths.max())
    history = np.where(padded > 0, np.char.add("item-", padded.astype(str)), "")
    inputs = {
        "history": tf.constant(history[:, -servable.max_length :]),
        "k": tf.fill([len(users)], 10),
        "exclude": tf.constant(history),
    }
    return tf.saved_model.load(str(folder)).signatures[name], inputs
