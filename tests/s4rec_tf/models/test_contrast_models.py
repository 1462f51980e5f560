"""CL4SRec, CoSeRec and ICLRec: what they add to SASRec."""

import keras
import numpy as np
import pytest

from s4rec_tf.losses.contrastive import intent_contrast
from s4rec_tf.models.registry import MODELS
from s4rec_tf.runs import config
from tests.s4rec_tf import reference
from tests.s4rec_tf.small_runs import as_numpy

NUM_ITEMS = 20
SMALL = {"max_length": 6, "dim": 8, "dropout": 0.0, "num_layers": 1}
INTENTS = {"num_intents": 4}


def build(name, **settings):
    keras.utils.set_random_seed(1)
    return MODELS[name]({**SMALL, **settings}, NUM_ITEMS)


def batch(rows=7, seed=0):
    generator = np.random.default_rng(seed)

    def ids(width):
        return generator.integers(1, NUM_ITEMS + 1, (rows, width)).astype(np.int32)

    return {
        "item_ids": ids(6),
        "target_ids": ids(1),
        "user_index": np.array([0, 0, 1, 2, 3, 4, 4], np.int32)[:rows],
        "is_head": np.zeros(rows, bool),
        "view_1": ids(6),
        "view_2": ids(6),
    }


def terms(model, batch):
    encoded = model(batch, training=True)
    found = model.loss_terms(batch, encoded)
    return encoded, {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize(
    ("name", "settings"), [("cl4srec", {}), ("coserec", {}), ("iclrec", INTENTS)]
)
def test_the_contrast_is_both_directions_of_info_nce(name, settings):
    model, given = build(name, tau=0.5, **settings), batch()
    encoded, found = terms(model, given)
    z_1, z_2 = map(as_numpy, encoded.views)
    np.testing.assert_allclose(
        z_1, as_numpy(model.sequence_embeddings(given["view_1"])), atol=1e-5
    )
    both = reference.contrastive_loss(z_1, z_2, given["user_index"], 0.5)
    assert found["contrastive"] == pytest.approx(both / 2, abs=1e-5)
    assert model.loss_weights()["contrastive"] == 0.1


def test_without_weight_it_is_sasrec():
    model, given = build("cl4srec", contrast_weight=0.0), batch()
    assert model.batch_spec().num_views == 0
    sasrec = build("sasrec")
    for ours, theirs in zip(model.weights, sasrec.weights, strict=True):
        ours.assign(theirs)
    own = float(sasrec.next_item_loss(given, sasrec(given).states))
    assert terms(model, given)[1] == {"next_item": pytest.approx(own, abs=1e-6)}


def slow_intent_contrast(view, centroids, intent, tau):
    view, centroids = reference.unit(view), reference.unit(centroids)
    losses = []
    for u in range(len(view)):
        positive = np.exp(view[u] @ centroids[intent[u]] / tau)
        denominator = positive
        for v in range(len(view)):
            if intent[v] != intent[u]:
                denominator += np.exp(view[u] @ centroids[intent[v]] / tau)
        losses.append(-np.log(positive / denominator))
    return np.mean(losses)


def test_intent_contrast_agrees_with_its_definition():
    generator = np.random.default_rng(2)
    view, centroids = generator.normal(size=(9, 5)), generator.normal(size=(6, 5))
    intent = np.array([0, 0, 1, 4, 4, 4, 5, 1, 0])
    found = intent_contrast(*map(np.float32, (view, centroids)), intent, 0.3)
    expected = slow_intent_contrast(view, centroids, intent, 0.3)
    assert float(found) == pytest.approx(expected, abs=1e-5)


def test_a_batch_of_one_intent_has_nothing_to_contrast():
    view = np.ones((3, 2), np.float32)
    assert float(intent_contrast(view, -view, np.zeros(3, int), 1.0)) == 0.0


def test_intents_are_refreshed_and_contrasted():
    model, given = build("iclrec", intent_tau=0.4, **INTENTS), batch()
    users = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)
    model.begin_epoch(lambda: users, np.random.default_rng(0))
    # As many intents as users: each user is its own.
    np.testing.assert_allclose(
        np.sort(as_numpy(model.intents.mu), axis=0),
        np.sort(reference.unit(users), axis=0),
        atol=1e-6,
    )
    assert sorted(model.clusters(users)) == [0, 1, 2, 3]
    encoded, found = terms(model, given)
    centroids = as_numpy(model.intents.mu)
    intent = np.argmax(reference.unit(as_numpy(encoded.z)) @ centroids.T, axis=1)
    expected = sum(
        slow_intent_contrast(as_numpy(view), centroids, intent, 0.4)
        for view in encoded.views
    )
    assert found["intent"] == pytest.approx(expected, abs=1e-4)
    assert not model.intents.trainable_weights


def test_views_are_made_as_the_papers_make_them():
    of_cl4srec = config.resolve("cl4srec").data
    assert of_cl4srec.operators == ("crop", "mask", "reorder")
    assert of_cl4srec.crop == "keep"
    assert config.resolve("iclrec").data == of_cl4srec
    of_coserec = config.resolve("coserec").data
    assert set(of_coserec.operators) - set(of_cl4srec.operators) == {
        "substitute",
        "insert",
    }
    assert set(of_coserec.short_operators) == {"mask", "substitute", "insert"}
    assert of_coserec.short_length == 4
    assert config.resolve("cl4srec", None, ["operators=mask"]).data.operators == (
        "mask",
    )
    assert build("coserec").batch_spec().num_correlated == 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cl4srec", {"tau": 0.0}),
        ("coserec", {"num_correlated": 0}),
        ("iclrec", {"intent_tau": -1.0}),
        ("iclrec", {"num_intents": 0}),
    ],
)
def test_impossible_settings_are_refused(name, wrong):
    with pytest.raises(ValueError, match=f"Received: .*{next(iter(wrong.values()))}"):
        build(name, **wrong)
