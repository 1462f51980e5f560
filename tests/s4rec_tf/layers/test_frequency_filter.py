"""BSARec's filter against NumPy's Fourier transform, and what it may look at."""

import keras
import numpy as np
import pytest

from s4rec_tf.layers.frequency_filter import (
    BSARecBlock,
    FilteringTransformer,
    low_frequency_basis,
)
from s4rec_tf.models.bsarec import BSARec
from s4rec_tf.runs import config
from tests.s4rec_tf.small_runs import as_numpy

SMALL = {"max_length": 8, "dim": 16, "num_layers": 2, "dropout": 0.0}


@pytest.mark.parametrize(("length", "kept"), [(8, 1), (8, 3), (8, 5), (9, 4), (50, 3)])
def test_the_basis_is_a_low_pass_by_the_fourier_transform(length, kept):
    rows = np.random.default_rng(0).normal(size=(length, 4))
    spectrum = np.fft.rfft(rows, axis=0)
    spectrum[kept:] = 0
    expected = np.fft.irfft(spectrum, n=length, axis=0)
    basis = low_frequency_basis(length, kept)
    np.testing.assert_allclose(basis @ (basis.T @ rows), expected, atol=1e-6)


def layer_norm(rows):
    centred = rows - rows.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


def test_a_block_is_a_share_of_the_filter_and_the_rest_of_attention():
    """A whole row of eight items, by the equations of the paper."""
    keras.utils.set_random_seed(2)
    model = BSARec({**SMALL, "num_layers": 1, "causal_filter": False}, num_items=20)
    ids = np.array([[3, 5, 7, 9, 11, 13, 2, 4]], np.int32)
    block = model.encoder.blocks[0]
    table, positions = as_numpy(model.item_embedding.table), model.encoder.positions
    rows = layer_norm(table[ids[0] - 1] + as_numpy(positions))
    spectrum = np.fft.rfft(rows, axis=0)
    spectrum[3:] = 0
    low = np.fft.irfft(spectrum, n=8, axis=0)
    filtered = layer_norm(rows + low + as_numpy(block.beta) ** 2 * (rows - low))
    # Attention alone: the same block where the filter has no share.
    alone = BSARecBlock(16, 1, filter_share=0.0)
    alone.build()
    for ours, theirs in zip(alone.weights, block.weights, strict=True):
        ours.assign(theirs)
    past = np.tril(np.ones((8, 8), bool))[None, None]
    nothing = lambda values: values  # noqa: E731
    given = (rows.astype(np.float32), past, nothing, nothing)
    attended = as_numpy(alone.mix(*given, low_pass=np.zeros((1, 8, 8), np.float32)))
    mixed = 0.7 * filtered + 0.3 * attended
    inner = mixed @ as_numpy(block.inner.kernel) + as_numpy(block.inner.bias)
    inner = as_numpy(keras.ops.gelu(inner.astype(np.float32), approximate=False))
    fed = inner @ as_numpy(block.outer.kernel) + as_numpy(block.outer.bias)
    expected = layer_norm(mixed + fed)
    np.testing.assert_allclose(as_numpy(model.encode(ids, 8))[0], expected, atol=2e-4)


def states(model, row, **how):
    return as_numpy(model.encode(np.array([row], np.int32), 8, **how))[0]


@pytest.mark.parametrize("is_causal", [True, False])
def test_whether_later_items_are_looked_at(is_causal):
    keras.utils.set_random_seed(1)
    model = BSARec({**SMALL, "causal_filter": is_causal}, num_items=20)
    before = states(model, [0, 0, 3, 5, 7, 9, 11, 13])
    after = states(model, [0, 0, 3, 5, 7, 9, 2, 13])
    moved = np.abs(before - after).max(axis=-1)
    assert (moved[6:] > 1e-3).all()
    assert (moved[2:6] < 1e-6).all() == is_causal


@pytest.mark.parametrize("is_causal", [True, False])
def test_packing_changes_no_state(is_causal):
    generator = np.random.default_rng(3)
    lengths = generator.integers(1, 9, (12, 1))
    ids = generator.integers(1, 21, (12, 8)) * (np.arange(8) >= 8 - lengths)
    ids = ids.astype(np.int32)
    settings = {**SMALL, "causal_filter": is_causal}
    packing, padded = (BSARec(settings, num_items=20) for _ in range(2))
    packing.rows_at_once, padded.rows_at_once = 4, 0
    for ours, theirs in zip(padded.weights, packing.weights, strict=True):
        ours.assign(theirs)
    expected = as_numpy(padded.encode(ids, 1, training=True))
    received = as_numpy(packing.encode(ids, 1, training=True))
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_targets_at_every_position_need_a_causal_filter():
    model = BSARec({**SMALL, "causal_filter": False}, num_items=20)
    ids = np.ones((2, 8), np.int32)
    with pytest.raises(ValueError, match="`causal_filter` must be true"):
        model({"item_ids": ids, "target_ids": ids}, training=True)
    model({"item_ids": ids, "target_ids": ids[:, -1:]}, training=True)


def test_any_model_of_the_family_may_have_the_encoder():
    resolved = config.resolve("s4rec", overrides=["encoder=bsarec", "num_heads=1"])
    assert resolved.model_settings.encoder == "bsarec"
    with pytest.raises(config.ConfigError, match=r"`num_frequencies` must lie in"):
        config.resolve("bsarec", overrides=["num_frequencies=40"])
    with pytest.raises(config.ConfigError, match="`filter_share` must lie in"):
        config.resolve("bsarec", overrides=["filter_share=1.5"])


def test_the_encoder_serialises():
    chosen = {"num_frequencies": 3, "filter_share": 0.5, "causal_filter": True}
    layer = FilteringTransformer(6, 8, 1, 2, 0.1, attention_dropout=0.2, **chosen)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert copy.get_config() == layer.get_config()
    assert [block.filter_share for block in copy.blocks] == [0.5]
