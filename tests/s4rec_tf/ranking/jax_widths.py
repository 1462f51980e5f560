"""The encoder for JAX, run by `test_encoding.py` in a process of its own."""

import weakref

import jax
import numpy as np

from s4rec_tf.ranking import encoding


class JaxSums:
    """Sums as of `Sums`, in JAX; remembers the shapes that were traced."""

    variables = ()

    def __init__(self):
        self.shapes = []

    def user_vectors(self, item_ids, user_index):
        self.shapes.append(item_ids.shape)
        return jax.numpy.stack([item_ids.sum(axis=1), user_index], axis=1)


def test_jax_compiles_for_few_widths(monkeypatch):
    monkeypatch.setattr(encoding, "_NARROWEST", 2)
    monkeypatch.setattr(encoding, "_BATCH", 2)
    model = JaxSums()
    encode = encoding._jax_encoder(weakref.ref(model), "user_vectors", 9)
    for length, number in [(1, 2), (3, 1), (4, 2), (9, 1), (2, 1)]:
        rows = np.zeros((number, 9), np.int32)
        rows[0, -length:] = 7
        found = encode(rows, np.array([5, 6], np.int32)[:number])
        expected = np.array([[7 * length, 5], [0, 6]])[:number]
        np.testing.assert_array_equal(found, expected)
    assert model.shapes == [(2, 2), (2, 4), (2, 9)]
