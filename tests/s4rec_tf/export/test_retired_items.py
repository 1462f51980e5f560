"""An item whose actions are all gone is known in a history and never answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.export import module, protocol
from tests.s4rec_tf.export import standin

RETIRED = [3, 17]


@pytest.fixture
def dataset(tmp_path: Path) -> spec.DatasetDir:
    sequences = small_datasets.markov_sequences(40, standin.NUM_ITEMS, seed=1)
    root = tmp_path / "dataset"
    return spec.DatasetDir(
        small_datasets.write_dataset(root, sequences, standin.NUM_ITEMS)
    )


def servable(
    dataset: spec.DatasetDir, max_k: int, is_offered: np.ndarray
) -> module.ServableRecommender:
    model = standin.MeanRecommender(standin.item_table(standin.NUM_ITEMS))
    popularity = np.full(standin.NUM_ITEMS, 5)
    popularity[np.asarray(RETIRED) - 1] = 99
    return module.ServableRecommender(
        model, dataset.item_vocab, popularity, max_k, is_offered
    )


def offered_but_retired() -> np.ndarray:
    return ~np.isin(np.arange(1, standin.NUM_ITEMS + 1), RETIRED)


def test_answers_hold_every_other_item(dataset: spec.DatasetDir) -> None:
    recommender = servable(dataset, 1000, offered_but_retired())
    assert recommender.max_k == standin.NUM_ITEMS - len(RETIRED)
    nothing = tf.zeros([3, 1], tf.int32)
    histories = tf.constant([[1, 2], [RETIRED[0], 9], [0, 0]], tf.int32)
    answer = recommender.answer(histories, nothing)
    item_ids = recommender.to_ids(answer["item_ids"]).numpy()
    expected = set(range(1, standin.NUM_ITEMS + 1)) - set(RETIRED)
    assert [set(row) for row in item_ids] == [expected] * 3


def test_a_retired_item_counts_as_history(dataset: spec.DatasetDir) -> None:
    recommender = servable(dataset, 5, offered_but_retired())
    nothing = tf.zeros([2, 1], tf.int32)
    answer = recommender.answer(tf.constant([[RETIRED[0]], [0]], tf.int32), nothing)
    assert answer["is_fallback"].numpy().tolist() == [False, True]


def test_a_dataset_of_retired_items_is_refused(dataset: spec.DatasetDir) -> None:
    with pytest.raises(
        protocol.ExportError, match="every item of the dataset is retired"
    ):
        servable(dataset, 5, np.zeros(standin.NUM_ITEMS, bool))
