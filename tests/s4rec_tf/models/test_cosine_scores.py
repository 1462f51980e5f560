"""Items scored by cosine: ranking and loss use the same scores."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from s4rec_tf.models.registry import MODELS, model_class

NUM_ITEMS, TEMPERATURE = 15, 0.2
SMALL = {"max_length": 6, "dim": 8, "num_heads": 2, "dropout": 0.0}
HISTORIES = np.array([[0, 0, 0, 1, 5, 9], [2, 3, 4, 5, 6, 7]], np.int32)
TARGETS = np.array([[4], [15]], np.int32)


def build(name: str, **settings: Any) -> Any:
    keras.utils.set_random_seed(5)
    return MODELS[name]({**SMALL, **settings}, NUM_ITEMS)


def as_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def scores(model: Any) -> np.ndarray:
    return as_numpy(model.user_vectors(HISTORIES)) @ as_numpy(model.item_vectors()).T


@pytest.mark.parametrize("name", ["sasrec", "s4rec"])
def test_scores_are_cosines_over_the_temperature(name: str) -> None:
    plain = build(name, score="dot")
    model = build(name, score="cosine", score_temperature=TEMPERATURE)
    model.set_weights(plain.get_weights())
    states, table = (
        as_numpy(tensor)
        for tensor in (plain.user_vectors(HISTORIES), plain.item_vectors())
    )
    expected = states @ table.T / TEMPERATURE
    expected /= np.linalg.norm(states, axis=1)[:, None] * np.linalg.norm(table, axis=1)
    received = (
        as_numpy(model.user_vectors(HISTORIES)) @ as_numpy(model.item_vectors()).T
    )
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_cross_entropy_of_these_scores() -> None:
    model = build("sasrec", score="cosine", score_temperature=TEMPERATURE)
    batch = {"item_ids": HISTORIES, "target_ids": TARGETS}
    logits = scores(model)
    chosen = logits[np.arange(2), TARGETS[:, 0] - 1]
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)
    received = model.loss_terms(batch, model(batch))["next_item"]
    np.testing.assert_allclose(as_numpy(received), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["sasrec", "s4rec"])
def test_sequence_embeddings_stay_raw_states(name: str) -> None:
    plain = build(name, score="dot")
    model = build(name, score="cosine")
    model.set_weights(plain.get_weights())
    np.testing.assert_allclose(
        as_numpy(model.sequence_embeddings(HISTORIES)),
        as_numpy(plain.user_vectors(HISTORIES)),
        atol=1e-5,
    )


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="`score_temperature` must be positive"):
        model_class("sasrec").Settings(score_temperature=0.0)
