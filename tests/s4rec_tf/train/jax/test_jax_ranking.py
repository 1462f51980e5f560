import numpy as np
import pytest

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.ranking import full_ranking
from s4rec_tf.train.jax.device_ranks import DeviceRanks

NUM_ITEMS = 11


def users(num_users, seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 9, num_users)
    return Sequences(
        user_ids=np.arange(num_users),
        values=generator.integers(1, NUM_ITEMS + 1, lengths.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        target_ids=generator.integers(1, NUM_ITEMS + 1, num_users).astype(np.int32),
        is_head=np.zeros(num_users, bool),
        sequence_lengths=lengths.astype(np.int32),
    )


def rank_by_hand(scores, history, target):
    rank = 1
    for item in range(1, NUM_ITEMS + 1):
        if item != target and item not in history:
            rank += not scores[item - 1] < scores[target - 1]
    return rank


@pytest.mark.parametrize("cells", [1, 5 * NUM_ITEMS, 1 << 20])
def test_ranks_are_those_of_the_definition(monkeypatch, cells):
    """Small integers: ties are many, and products exact in any order."""
    monkeypatch.setattr(full_ranking, "CELLS_IN_MEMORY", cells)
    sequences = users(23, seed=3)
    generator = np.random.default_rng(4)
    user_vectors = generator.integers(-2, 3, (23, 2)).astype(np.float32)
    item_vectors = generator.integers(-2, 3, (NUM_ITEMS, 2)).astype(np.float32)
    user_vectors[5] = np.nan
    item_vectors[7] = np.nan
    expected = [
        rank_by_hand(
            item_vectors @ user_vectors[row],
            set(sequences.items(row)),
            sequences.target_ids[row],
        )
        for row in range(23)
    ]
    found = DeviceRanks(sequences, NUM_ITEMS)(user_vectors, item_vectors)
    assert found.tolist() == expected
    assert len(set(expected)) > 5


def test_a_split_without_users_has_no_ranks():
    found = DeviceRanks(users(0, seed=0), NUM_ITEMS)(
        np.zeros((0, 2), np.float32), np.zeros((NUM_ITEMS, 2), np.float32)
    )
    assert found.shape == (0,)
