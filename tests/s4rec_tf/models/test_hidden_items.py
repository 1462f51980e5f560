"""Items hidden at random in training, histories repeated: which, how many, and when."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from s4rec_tf import spec
from s4rec_tf.layers.input_noise import repeated
from s4rec_tf.models.registry import MODELS, model_class

NUM_ITEMS, LENGTH, ROWS = 30, 12, 400


def build(mask_prob: float, name: str = "sasrec") -> Any:
    keras.utils.set_random_seed(4)
    settings = {"max_length": LENGTH, "dim": 8, "mask_prob": mask_prob}
    return MODELS[name]({**settings, "dropout": 0.0}, NUM_ITEMS)


def histories() -> np.ndarray:
    generator = np.random.default_rng(6)
    ids = generator.integers(1, NUM_ITEMS + 1, (ROWS, LENGTH))
    lengths = generator.integers(1, LENGTH + 1, (ROWS, 1))
    return np.where(np.arange(LENGTH) >= LENGTH - lengths, ids, 0).astype(np.int32)


def test_the_stated_share_is_hidden_and_never_the_last_item() -> None:
    item_ids, model = histories(), build(0.3)
    draws = [keras.ops.convert_to_numpy(model.mask_items(item_ids)) for _ in range(2)]
    for hidden in draws:
        np.testing.assert_array_equal(hidden[:, -1], item_ids[:, -1])
        np.testing.assert_array_equal(hidden == spec.PAD_ID, item_ids == spec.PAD_ID)
        is_hidden = hidden == spec.MASK_ID
        np.testing.assert_array_equal(hidden[~is_hidden], item_ids[~is_hidden])
        may_hide = item_ids[:, :-1] != spec.PAD_ID
        assert is_hidden[:, :-1][may_hide].mean() == pytest.approx(0.3, abs=0.03)
    assert (draws[0] != draws[1]).any()


def test_nothing_is_hidden_unless_asked_for() -> None:
    item_ids = histories()
    np.testing.assert_array_equal(build(0.0).mask_items(item_ids), item_ids)


@pytest.mark.parametrize("name", ["sasrec", "s4rec"])
def test_only_training_hides(name: str) -> None:
    item_ids = histories()
    batch = {
        "item_ids": item_ids,
        "target_ids": item_ids[:, -1:],
        "view_1": item_ids,
        "view_2": item_ids,
    }
    model, whole = build(0.5, name), build(0.0, name)
    model.set_weights(whole.get_weights())

    def states(recommender: Any, training: bool) -> np.ndarray:
        found = recommender(batch, training=training)
        found = found.states if name == "sasrec" else found.samples.states
        return np.asarray(keras.ops.convert_to_numpy(found))

    np.testing.assert_allclose(states(model, False), states(whole, False), atol=1e-5)
    assert np.abs(states(model, True) - states(whole, True)).max() > 1e-3


def test_all_items_cannot_be_hidden() -> None:
    with pytest.raises(ValueError, match=r"`mask_prob` must lie in \[0, 1\)"):
        model_class("sasrec").Settings(mask_prob=1.0)


def test_a_history_is_repeated_into_its_padding() -> None:
    rows = [[0, 0, 0, 0, 0, 1, 2], [0, 0, 0, 0, 0, 1, 2], [0, 3, 4, 5, 6, 7, 8]]
    rows += [[0, 0, 0, 0, 0, 0, 9], [0] * 7]
    item_ids = np.array(rows, np.int32)
    # One and floor(noise times the most that fit: 3, 3, 1, 7 and 7) times.
    noise = np.array([0.4, 0.99, 0.9, 0.3, 0.5], np.float32)[:, None]
    np.testing.assert_array_equal(
        repeated(item_ids, noise),
        [
            [0, 0, 0, 1, 2, 1, 2],
            [0, 1, 2, 1, 2, 1, 2],
            [0, 3, 4, 5, 6, 7, 8],
            [0, 0, 0, 0, 9, 9, 9],
            [0] * 7,
        ],
    )


def test_repeating_is_for_training_with_one_target() -> None:
    keras.utils.set_random_seed(4)
    settings = {"max_length": LENGTH, "dim": 8, "repeats_history": True}
    model = MODELS["sasrec"](settings, NUM_ITEMS)
    item_ids = histories()
    np.testing.assert_array_equal(model.repeat_histories(item_ids, LENGTH), item_ids)
    more = keras.ops.convert_to_numpy(model.repeat_histories(item_ids, 1))
    np.testing.assert_array_equal(more[:, -1], item_ids[:, -1])
    lengths, longer = (np.count_nonzero(ids, axis=1) for ids in (item_ids, more))
    assert (longer % lengths == 0).all()
    short = lengths * 2 <= LENGTH
    assert (longer[~short] == lengths[~short]).all()
    assert 0.4 < np.mean(longer[short] > lengths[short]) < 1
