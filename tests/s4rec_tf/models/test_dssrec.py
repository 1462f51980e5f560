import keras
import numpy as np
import pytest

from s4rec_tf.models.dssrec import DSSRec
from s4rec_tf.runs import config
from tests.s4rec_tf.models.test_contrast_models import batch
from tests.s4rec_tf.small_runs import as_numpy

NUM_ITEMS = 20
SMALL = {"max_length": 6, "dim": 8, "dropout": 0.0, "num_layers": 1, "num_intents": 3}


def build(**settings):
    keras.utils.set_random_seed(1)
    return DSSRec({**SMALL, **settings}, NUM_ITEMS)


def given():
    return {**batch(), "future_ids": batch(seed=8)["item_ids"]}


@pytest.mark.parametrize("score", ["dot", "cosine"])
def test_an_item_scores_by_the_best_intention(score):
    model, items = build(score=score), batch()["item_ids"]
    users, table = as_numpy(model.user_vectors(items)), as_numpy(model.item_vectors())
    expected = (users.reshape(len(items), 3, 1, 8) * table).sum(axis=-1).max(axis=1)
    all_pairs = model.pair_scores(users[:, None], table[None])
    np.testing.assert_allclose(as_numpy(all_pairs), expected, atol=1e-4)
    own = model.pair_scores(users, table[: len(items)])
    np.testing.assert_allclose(as_numpy(own), np.diagonal(expected), atol=1e-4)
    intentions = as_numpy(model(given()).past)
    scale = 8**-0.5 if score == "dot" else 1 / 0.07
    if score == "cosine":
        intentions /= np.linalg.norm(intentions, axis=-1, keepdims=True)
    np.testing.assert_allclose(users, scale * intentions.reshape(-1, 24), rtol=1e-3)


def test_future_and_past_are_encoded_alike_but_for_their_bias():
    model, ids = build(), batch()["item_ids"]
    model.intentions.future_bias.assign(model.intentions.past_bias)
    encoded = model({**batch(), "future_ids": ids})
    np.testing.assert_allclose(
        as_numpy(encoded.past), as_numpy(encoded.future), atol=1e-5
    )
    model.intentions.future_bias.assign(model.intentions.past_bias + 1.0)
    # A constant is what a layer norm takes away; an uneven one stays.
    model.intentions.future_bias.assign(np.eye(3, 8, dtype=np.float32))
    moved = as_numpy(model({**batch(), "future_ids": ids}).future)
    assert np.abs(moved - as_numpy(encoded.future)).max() > 0.1


@pytest.mark.parametrize(
    ("variant", "columns"), [("items", 6), ("next_items", 3), ("latent", 0)]
)
def test_what_of_the_future_is_told(variant, columns):
    model, data = build(seq2seq=variant), given()
    assert model.batch_spec().future
    encoded = model(data)
    terms = model.loss_terms(data, encoded)
    assert set(terms) == set(model.loss_weights()) == {"next_item", "seq2seq"}
    if columns:
        by_one = [
            float(model._tell_items(encoded.past, data["future_ids"][:, n : n + 1]))
            for n in range(6 - columns, 6)
        ]
        assert float(terms["seq2seq"]) == pytest.approx(np.mean(by_one), abs=1e-4)
        assert not model.intentions.future_bias.trainable


def test_without_the_loss_the_future_is_not_asked_for():
    model = build(seq2seq_weight=0.0)
    assert not model.batch_spec().future
    assert set(model.loss_terms(batch(), model(batch()))) == {"next_item"}


def test_ablations_differ_from_the_full_model_in_one_setting():
    full = config.resolve(None, "dssrec_beauty").flat()
    expected = {
        "no_seq2seq": {"seq2seq_weight": 0.0},
        "all_items": {"seq2seq": "items"},
        "next_items": {"seq2seq": "next_items"},
    }
    for name, change in expected.items():
        flat = config.resolve(None, f"dssrec_beauty_{name}").flat()
        assert {key: flat[key] for key in flat if flat[key] != full[key]} == change


@pytest.mark.parametrize(
    ("wrong", "received"),
    [
        ({"num_intents": 0}, "0"),
        ({"keep_share": 0.0}, "0.0, 1.0"),
        ({"seq2seq_weight": -1.0}, "0.5, -1.0"),
        ({"loss": "gbce"}, "'gbce'"),
    ],
)
def test_impossible_settings_are_refused(wrong, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        build(**wrong)


def test_a_narrower_row_is_the_same_history():
    model, items = build(), np.array([[0, 0, 0, 4, 5, 6]], np.int32)
    wide, narrow = model.user_vectors(items), model.user_vectors(items[:, 3:])
    np.testing.assert_allclose(as_numpy(wide), as_numpy(narrow), atol=1e-4)
