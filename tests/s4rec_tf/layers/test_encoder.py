import keras
import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.layers.dropout import HashDropout
from s4rec_tf.layers.item_embedding import ItemEmbedding
from s4rec_tf.layers.packing import PackedBatch, in_place, pack
from s4rec_tf.layers.transformer import Transformer, TransformerBlock
from s4rec_tf.models.sasrec import SASRec

SETTINGS = {"max_length": 8, "dim": 16, "num_layers": 2, "dropout": 0.0}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return SASRec(SETTINGS, num_items=20)


def states(model, item_ids, num_positions=8, training=False):
    encoded = model.encode(np.asarray(item_ids, np.int32), num_positions, training)
    return keras.ops.convert_to_numpy(encoded)


def test_a_later_item_changes_no_earlier_state(model):
    before = states(model, [[0, 0, 3, 5, 7, 9, 11, 13]])
    after = states(model, [[0, 0, 3, 5, 7, 2, 11, 13]])
    np.testing.assert_allclose(before[0, 2:5], after[0, 2:5], atol=1e-6)
    assert np.abs(before[0, 5:] - after[0, 5:]).max(axis=-1).min() > 1e-3


def test_padding_changes_no_state(model):
    ids = np.array([[3, 5, 7]], np.int32)
    narrow = model.encoder(
        PackedBatch(model.item_embedding(ids), *in_place(ids, max_length=8)[1:3])
    )
    wide = states(model, [[0, 0, 0, 0, 0, 3, 5, 7]])
    np.testing.assert_allclose(wide[0, 5:], narrow, atol=1e-6)


def test_what_stands_at_padding_is_never_read(model):
    ids = np.array([[0, 0, 0, 3, 5, 7]], np.int32)
    vectors = keras.ops.convert_to_numpy(model.item_embedding(ids)).copy()
    packing = in_place(ids, max_length=8)
    clean = model.encoder(PackedBatch(vectors, *packing[1:3]))
    vectors[:, :3] = 1e3
    dirty = model.encoder(PackedBatch(vectors, *packing[1:3]))
    np.testing.assert_allclose(clean[3:], dirty[3:], atol=1e-5)


def test_a_row_without_items_is_finite(model):
    assert np.isfinite(states(model, [[0] * 8])).all()


def random_rows(batch_size, seed=0):
    generator = np.random.default_rng(seed)
    item_ids = generator.integers(1, 21, (batch_size, 8))
    lengths = generator.integers(0, 9, batch_size)
    is_real = np.arange(8)[None, :] >= 8 - lengths[:, None]
    return np.where(is_real, item_ids, spec.PAD_ID).astype(np.int32)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 32])
@pytest.mark.parametrize("num_positions", [1, 8])
def test_packing_changes_no_state(batch_size, num_positions):
    keras.utils.set_random_seed(1)
    packing, padded = (SASRec(SETTINGS, num_items=20) for _ in range(2))
    packing.rows_at_once, padded.rows_at_once = 4, 0
    for ours, theirs in zip(padded.weights, packing.weights, strict=True):
        ours.assign(theirs)
    item_ids = random_rows(batch_size)
    expected = states(padded, item_ids, num_positions, training=True)
    received = states(packing, item_ids, num_positions, training=True)
    assert received.shape == expected.shape
    wanted = (item_ids != spec.PAD_ID)[:, 8 - num_positions :]
    np.testing.assert_allclose(received[wanted], expected[wanted], atol=1e-5)


@pytest.mark.parametrize("num_positions", [1, 8])
def test_recomputing_changes_no_gradient(num_positions):
    def gradients(model, item_ids):
        with tf.GradientTape() as tape:
            found = model.encode(item_ids, num_positions, training=True)
            loss = tf.reduce_sum(found * tf.cast(tf.range(1, 17), tf.float32))
        watched = [variable.value for variable in model.trainable_variables]
        found = tape.gradient(loss, watched, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in found]

    keras.utils.set_random_seed(1)
    # A part's dropout follows from its number: as many parts in both.
    settings = {**SETTINGS, "dropout": 0.5}
    eager, compiled = SASRec(settings, 20), SASRec(settings, 20)
    eager.rows_at_once = compiled.rows_at_once = 4
    pairs = zip(eager.variables, compiled.variables, strict=True)
    for theirs, ours in pairs:
        ours.assign(theirs)
    item_ids = random_rows(12, seed=2)
    expected = gradients(eager, item_ids)
    received = tf.function(gradients)(compiled, tf.constant(item_ids))
    assert any(np.any(gradient) for gradient in expected)
    for ours, theirs in zip(received, expected, strict=True):
        # Sums of hundreds, whose rounding differs between versions of XLA.
        scale = np.max(np.abs(theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 + 1e-6 * scale)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_every_item_lies_in_one_slot_of_its_own(batch_size):
    item_ids = random_rows(batch_size, seed=3)
    packing = [keras.ops.convert_to_numpy(part) for part in pack(item_ids)]
    packed_ids, positions, segments, slots = packing
    rows, columns = np.nonzero(item_ids)
    chosen = slots[rows, columns]
    assert len(np.unique(chosen)) == len(chosen)
    np.testing.assert_array_equal(packed_ids.ravel()[chosen], item_ids[rows, columns])
    np.testing.assert_array_equal(positions.ravel()[chosen], columns)
    np.testing.assert_array_equal(segments.ravel()[chosen], rows + 1)
    assert np.count_nonzero(segments) == len(chosen)
    # A row is whole inside one chunk of 8 slots, in order.
    same_row = rows[1:] == rows[:-1]
    assert np.all(np.diff(chosen)[same_row] == 1)
    assert np.all((chosen // 8)[1:][same_row] == (chosen // 8)[:-1][same_row])
    # A chunk is left when the next longest row does not fit.
    used = np.count_nonzero(segments, axis=1)
    lengths = -np.sort(-np.count_nonzero(item_ids, axis=1))
    room, expected = 8, [0]
    for length in lengths:
        if length > room:
            expected.append(0)
            room = 8
        expected[-1] += length
        room -= length
    np.testing.assert_array_equal(used[: len(expected)], expected)
    assert not used[len(expected) :].any()


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    dropout = HashDropout(0.3, np.array([5, 6], np.uint32))
    first, second = dropout(np.ones((400, 500), "f")), dropout(np.ones((400, 500), "f"))
    first, second = np.asarray(first), np.asarray(second)
    kept = first > 0
    np.testing.assert_allclose(first[kept], 1 / 0.7, rtol=1e-6)
    # Four standard deviations of a share of 200,000 draws, and of rows and columns.
    assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.21 / 200_000)
    assert np.abs(kept.mean(axis=0) - 0.7).max() < 5 * np.sqrt(0.21 / 400)
    assert np.abs(kept.mean(axis=1) - 0.7).max() < 5 * np.sqrt(0.21 / 500)
    # Draws of one call and of the next agree as often as independent ones.
    assert abs(np.mean(kept == (second > 0)) - 0.58) < 4 * np.sqrt(0.2436 / 200_000)
    assert abs(np.mean(kept[:, 1:] == kept[:, :-1]) - 0.58) < 0.006


def test_equal_seeds_give_equal_noise_and_others_another():
    def noise(first, second):
        seed = np.array([first, second], np.uint32)
        return np.asarray(HashDropout(0.5, seed)(np.ones(1000, "f")))

    np.testing.assert_array_equal(noise(1, 2), noise(1, 2))
    for other in (noise(2, 2), noise(1, 3), noise(2, 1)):
        assert 0.4 < np.mean(noise(1, 2) == other) < 0.6


def test_embedding_of_padding_item_and_hidden_item():
    embedding = ItemEmbedding(num_items=4, dim=3)
    embedding.build()
    embedding.table.assign(np.arange(12.0).reshape(4, 3))
    embedding.mask_vector.assign([7.0, 8.0, 9.0])
    vectors = embedding(np.array([[spec.PAD_ID, spec.MASK_ID, 1, 4]]))
    np.testing.assert_array_equal(
        vectors[0], [[0, 0, 0], [7, 8, 9], [0, 1, 2], [9, 10, 11]]
    )


@pytest.mark.parametrize(
    ("rates", "differ"),
    [({"dropout": 0.5}, True), ({"attention_dropout": 0.5}, True), ({}, False)],
)
def test_attention_has_a_rate_of_its_own(rates, differ):
    """Without noise a second pass gives the same; with any it does not."""
    chosen = {"dropout": 0.0, "attention_dropout": 0.0, **rates}
    noisy = SASRec({**SETTINGS, **chosen}, num_items=20)
    noisy.rows_at_once = 0
    rows = random_rows(4)
    first, second = (states(noisy, rows, training=True) for _ in range(2))
    assert (np.abs(first - second).max() > 1e-3) == differ


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="num_heads=3, dim=16"):
        TransformerBlock(dim=16, num_heads=3)


@pytest.mark.parametrize(
    "layer",
    [
        ItemEmbedding(5, 4, name="items"),
        TransformerBlock(8, 2, name="block"),
        Transformer(6, 8, 1, 2, 0.1, attention_dropout=0.3, name="encoder"),
    ],
)
def test_layers_serialise(layer):
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert copy.get_config() == layer.get_config()
