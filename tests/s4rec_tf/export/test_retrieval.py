import sys

import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf.retrieval import exclusions
from s4rec_tf.retrieval.index import build_index
from s4rec_tf.retrieval.kinds import IndexKind, RetrievalError


def test_index_orders_by_inner_product_and_ties_by_item_id():
    vectors = np.asarray([[1.0, 0], [0, 2], [1, 0], [3, 0]], np.float32)
    index = build_index(vectors)
    scores, item_ids = index.top(tf.constant([[1.0, 0.0], [0.0, 1.0]]), k=3)
    assert item_ids.numpy().tolist() == [[4, 1, 3], [2, 1, 3]]
    assert scores.numpy().tolist() == [[3, 1, 1], [2, 0, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(bad):
    with pytest.raises(RetrievalError, match="NaN or inf"):
        build_index(np.asarray([[1.0, bad]], np.float32))


def test_vectors_of_another_rank_are_refused():
    with pytest.raises(RetrievalError, match=r"\(3,\)"):
        build_index(np.zeros(3, np.float32))


def test_drop_excluded_keeps_order_and_fills_up():
    scores = tf.constant([[9.0, 8, 7, 6], [5, 5, 5, 5]])
    items = tf.constant([[4, 2, 3, 1], [1, 2, 3, 4]])
    excluded = tf.constant([[2, 0, 2], [4, 3, 1]])
    scores, items = exclusions.drop_excluded(scores, items, excluded, 3)
    lowest = np.finfo(np.float32).min
    assert items.numpy().tolist() == [[4, 3, 1], [2, 0, 0]]
    assert scores.numpy().tolist() == [[9, 7, 6], [5, lowest, lowest]]


def test_exclusion_is_exact_against_a_set():
    generator = np.random.default_rng(5)
    for _ in range(30):
        rows, num_items, k = 3, 20, int(generator.integers(1, 20))
        excluded = generator.integers(
            0, num_items + 1, (rows, generator.integers(0, 40))
        )
        excluded = tf.constant(excluded, tf.int32)
        width = int(exclusions.candidates_needed(excluded, k, num_items))
        order = np.stack([generator.permutation(num_items) + 1 for _ in range(rows)])
        order = tf.constant(order[:, :width], tf.int32)
        scores = tf.cast(
            -tf.range(width)[tf.newaxis] + tf.zeros_like(order), tf.float32
        )
        _, items = exclusions.drop_excluded(scores, order, excluded, k)
        for row in range(rows):
            gone = set(excluded.numpy()[row])
            left = [item for item in order.numpy()[row] if item not in gone][:k]
            assert items.numpy()[row].tolist() == left + [0] * (k - len(left))


def test_no_rows_need_no_candidates_beyond_k():
    assert int(exclusions.candidates_needed(tf.zeros([0, 4], tf.int32), 3, 9)) == 3


def test_library_that_refuses_keras_3_is_explained(monkeypatch):
    # What an import gives after TensorFlow was imported without the variable.
    monkeypatch.setitem(sys.modules, "tensorflow_recommenders.layers", None)
    with pytest.raises(RetrievalError, match="TF_USE_LEGACY_KERAS=1"):
        build_index(np.ones([2, 2], np.float32), kind=IndexKind("exact"))
