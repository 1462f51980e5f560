"""Augmented views that have to tell the next item, whatever the model."""

import keras
import numpy as np
import pytest

from s4rec_tf.models.registry import MODELS, model_class
from s4rec_tf.runs import config
from tests.s4rec_tf import reference
from tests.s4rec_tf.small_runs import as_numpy

NUM_ITEMS, ROWS, LENGTH = 20, 8, 6
SMALL = {"max_length": LENGTH, "dim": 8, "num_layers": 1}
NO_TERMS = {"alpha": 0, "beta_1": 0, "beta_2": 0, "lambda_adv": 0}


def build(name, **settings):
    keras.utils.set_random_seed(1)
    return MODELS[name]({**SMALL, **settings}, NUM_ITEMS)


def batch():
    generator = np.random.default_rng(0)

    def ids(width):
        return generator.integers(1, NUM_ITEMS + 1, (ROWS, width)).astype(np.int32)

    rows = {name: ids(LENGTH) for name in ("item_ids", "view_1", "view_2")}
    return {**rows, "target_ids": ids(1), "user_index": np.arange(ROWS)}


@pytest.mark.parametrize("name", ["sasrec", "cl4srec", "s3rec"])
def test_the_loss_is_the_weighted_mean_over_a_sequence_and_its_views(name):
    model, given = build(name, view_weight=0.5, dropout=0.0, score="dot"), batch()
    model.begin_stage("main")
    assert model.batch_spec().num_views == 2
    table, targets = as_numpy(model.item_vectors()), given["target_ids"]
    of_sequence, *of_views = (
        reference.softmax_loss(
            as_numpy(model.sequence_embeddings(given[rows]))[:, None], targets, table
        )
        for rows in ("item_ids", "view_1", "view_2")
    )
    received = float(model.loss_terms(given, model(given))["next_item"])
    expected = (of_sequence + 0.5 * sum(of_views)) / 2
    assert received == pytest.approx(expected, rel=1e-5)


def test_sasrec_on_views_is_s4rec_without_its_terms():
    given = batch()
    logs = []
    for name, more in (("sasrec", {}), ("s4rec", NO_TERMS)):
        model = build(name, view_weight=1.0, dropout=0.5, **more)
        model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
        for _ in range(2):
            last = model.train_on_batch(given, return_dict=True)
        logs.append({key: float(last[key]) for key in ("loss", "next_item")})
    assert logs[0] == logs[1]


@pytest.mark.parametrize("name", ["bert4rec", "dssrec", "grec"])
def test_models_without_views_refuse_the_weight(name):
    with pytest.raises(config.ConfigError, match="`view_weight` must be 0"):
        config.resolve(name, overrides=["view_weight=1"])


def test_a_weight_below_zero_is_refused():
    with pytest.raises(ValueError, match="`view_weight` must not be negative"):
        model_class("sasrec").Settings(view_weight=-0.5)
