import keras
import numpy as np
import pytest

from s4rec_tf import spec
from s4rec_tf.layers.item_embedding import ItemEmbedding
from s4rec_tf.layers.transformer import CausalTransformer, TransformerBlock
from s4rec_tf.models.sasrec import SASRec

SETTINGS = {"max_length": 8, "dim": 16, "num_layers": 2, "dropout": 0.0}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return SASRec(SETTINGS, num_items=20)


def states(model, item_ids, num_positions=8):
    encoded = model.encode(np.asarray(item_ids, np.int32), num_positions)
    return keras.ops.convert_to_numpy(encoded)


def test_a_later_item_changes_no_earlier_state(model):
    before = states(model, [[0, 0, 3, 5, 7, 9, 11, 13]])
    after = states(model, [[0, 0, 3, 5, 7, 2, 11, 13]])
    np.testing.assert_allclose(before[0, 2:5], after[0, 2:5], atol=1e-6)
    assert np.abs(before[0, 5:] - after[0, 5:]).max(axis=-1).min() > 1e-3


def test_padding_changes_no_state(model):
    narrow = model.encoder(
        model.item_embedding(np.array([[3, 5, 7]])), item_ids=np.array([[3, 5, 7]])
    )
    wide = states(model, [[0, 0, 0, 0, 0, 3, 5, 7]])
    np.testing.assert_allclose(wide[0, 5:], narrow[0], atol=1e-6)


def test_what_stands_at_padding_is_never_read(model):
    ids = np.array([[0, 0, 0, 3, 5, 7]], np.int32)
    vectors = keras.ops.convert_to_numpy(model.item_embedding(ids)).copy()
    clean = model.encoder(vectors, item_ids=ids)
    vectors[:, :3] = 1e3
    dirty = model.encoder(vectors, item_ids=ids)
    np.testing.assert_allclose(clean[:, 3:], dirty[:, 3:], atol=1e-5)


def test_a_row_without_items_is_finite(model):
    assert np.isfinite(states(model, [[0] * 8])).all()


@pytest.mark.parametrize("batch_size", [1, 2, 7, 32])
@pytest.mark.parametrize("num_positions", [1, 8])
def test_buckets_change_no_state(batch_size, num_positions):
    keras.utils.set_random_seed(1)
    bucketed = SASRec({**SETTINGS, "length_buckets": 4}, num_items=20)
    whole = SASRec({**SETTINGS, "length_buckets": 1}, num_items=20)
    for ours, theirs in zip(whole.weights, bucketed.weights, strict=True):
        ours.assign(theirs)
    generator = np.random.default_rng(batch_size)
    item_ids = generator.integers(1, 21, (batch_size, 8))
    lengths = generator.integers(0, 9, batch_size)
    is_real = np.arange(8)[None, :] >= 8 - lengths[:, None]
    item_ids = np.where(is_real, item_ids, spec.PAD_ID)
    expected = states(whole, item_ids, num_positions)
    received = states(bucketed, item_ids, num_positions)
    wanted = is_real[:, 8 - num_positions :]
    np.testing.assert_allclose(received[wanted], expected[wanted], atol=1e-5)


def test_embedding_of_padding_item_and_hidden_item():
    embedding = ItemEmbedding(num_items=4, dim=3)
    embedding.build()
    embedding.table.assign(np.arange(12.0).reshape(4, 3))
    embedding.mask_vector.assign([7.0, 8.0, 9.0])
    vectors = embedding(np.array([[spec.PAD_ID, spec.MASK_ID, 1, 4]]))
    np.testing.assert_array_equal(
        vectors[0], [[0, 0, 0], [7, 8, 9], [0, 1, 2], [9, 10, 11]]
    )


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="num_heads=3, dim=16"):
        TransformerBlock(dim=16, num_heads=3, dropout=0.0)


@pytest.mark.parametrize(
    "layer",
    [
        ItemEmbedding(5, 4, name="items"),
        TransformerBlock(8, 2, 0.1, name="block"),
        CausalTransformer(6, 8, 1, 2, 0.1, name="encoder"),
    ],
)
def test_layers_serialise(layer):
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert copy.get_config() == layer.get_config()
