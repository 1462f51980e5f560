import keras
import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.layers.dilated_convolution import DilatedConvolution, ResidualBlock
from s4rec_tf.layers.packing import PackedBatch, in_place, pack
from s4rec_tf.models.grec import GREC
from tests.s4rec_tf.models.test_contrast_models import batch
from tests.s4rec_tf.small_runs import as_numpy

NUM_ITEMS = 20
SMALL = {"max_length": 6, "dim": 8, "dropout": 0.0, "num_layers": 2}


def build(**settings):
    keras.utils.set_random_seed(1)
    return GREC({**SMALL, **settings}, NUM_ITEMS)


def slow_convolution(rows, kernel, bias, dilation, is_causal):
    """One row [n, d] by its definition; kernel [width, d, d], earliest first."""
    width = len(kernel)
    before = width - 1 if is_causal else (width - 1) // 2
    found = np.tile(bias, (len(rows), 1))
    for t in range(len(rows)):
        for step in range(width):
            source = t + (step - before) * dilation
            if 0 <= source < len(rows):
                found[t] += rows[source] @ kernel[step]
    return found


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize(("width", "dilation"), [(3, 1), (3, 2), (2, 4)])
def test_a_convolution_stays_inside_its_sequence(width, dilation, is_causal):
    generator = np.random.default_rng(0)
    layer = DilatedConvolution(4, width, dilation, is_causal)
    layer.build()
    layer.mixing.bias.assign(generator.normal(size=4))
    segments = np.array([[1, 1, 1, 2, 2, 0], [3, 3, 3, 3, 3, 3]], np.int32)
    states = generator.normal(size=(12, 4)).astype(np.float32)
    found = as_numpy(layer(states, segments))
    kernel = as_numpy(layer.mixing.kernel).reshape(width, 4, 4)
    bias = as_numpy(layer.mixing.bias)
    for segment in (1, 2, 3):
        rows = np.flatnonzero(segments.ravel() == segment)
        expected = slow_convolution(states[rows], kernel, bias, dilation, is_causal)
        np.testing.assert_allclose(found[rows], expected, atol=1e-5)


def test_a_block_adds_two_convolutions_of_what_it_gets():
    generator = np.random.default_rng(1)
    block = ResidualBlock(4, 3, 1, is_causal=True)
    block.build()
    segments = np.ones((1, 5), np.int32)
    states = generator.normal(size=(5, 4)).astype(np.float32)
    inner = states.astype(float)
    for dilation, layer in zip((1, 2), block.convolutions, strict=True):
        centred = inner - inner.mean(axis=1, keepdims=True)
        variance = (centred**2).mean(axis=1, keepdims=True)
        normed = np.maximum(centred / np.sqrt(variance + 1e-6), 0)
        kernel = as_numpy(layer.mixing.kernel).reshape(3, 4, 4)
        inner = slow_convolution(normed, kernel, np.zeros(4), dilation, True)
    found = as_numpy(block(states, segments, dropout=lambda values: values))
    np.testing.assert_allclose(found, states + inner, atol=1e-4)


def test_packing_changes_no_state():
    model = build()
    items = batch()["item_ids"]
    items[::2, :4] = 0
    states = []
    for packing in (in_place(items, 6), pack(items)):
        (vectors,) = model._embed([packing])
        found = model.encoder(PackedBatch(vectors, *packing[1:3]))
        states.append(as_numpy(keras.ops.take(found, packing.slots, axis=0)))
    np.testing.assert_allclose(*(found[items > 0] for found in states), atol=1e-5)


def test_a_gap_is_filled_by_what_stands_on_both_sides_but_not_in_it():
    """The state before the gap at column 3 of what the decoder sees whole."""
    model = build()

    def state(whole, hidden):
        marked = np.where(hidden, spec.MASK_ID - np.array(whole), whole)
        return as_numpy(model.encode(marked[None].astype(np.int32), 6))[0, 2]

    hidden = np.arange(6) == 3
    given = state([1, 2, 3, 4, 5, 6], hidden)
    np.testing.assert_array_equal(state([1, 2, 3, 9, 5, 6], hidden), given)
    assert np.abs(state([1, 2, 3, 4, 5, 7], hidden) - given).max() > 1e-4
    assert np.abs(state([1, 2, 8, 4, 5, 6], hidden) - given).max() > 1e-4
    assert np.abs(state([1, 2, 3, 9, 5, 6], hidden & False) - given).max() > 1e-4


def test_gaps_are_told_from_the_state_before_them():
    model, given = build(mask_prob=0.9), batch()
    given["item_ids"][:, :3] = 0
    states, targets = map(as_numpy, model(given))
    assert states.shape[:2] == targets.shape == (7, 5)
    whole = np.concatenate([given["item_ids"][:, 1:], given["target_ids"]], axis=1)
    is_told = targets > 0
    np.testing.assert_array_equal(targets[is_told], whole[:, 1:][is_told])
    # The first item of a sequence has no state before it; the last is always told.
    assert not is_told[:, :2].any() and is_told[:, -1].all()


def test_it_is_asked_as_it_was_trained():
    model, given = build(mask_prob=0.0), batch()
    states, targets = model(given)
    np.testing.assert_array_equal(as_numpy(targets)[:, -1:], given["target_ids"])
    np.testing.assert_allclose(
        as_numpy(model.sequence_embeddings(given["item_ids"])),
        as_numpy(states)[:, -1],
        atol=1e-5,
    )


def test_a_graph_gives_what_eager_execution_does():
    model, items = build(), batch()["item_ids"]
    traced = tf.function(lambda ids: model.user_vectors(ids))
    np.testing.assert_allclose(
        as_numpy(traced(items)), as_numpy(model.user_vectors(items)), atol=1e-4
    )
