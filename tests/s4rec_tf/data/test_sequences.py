"""Sequences of some users."""

import numpy as np

from benchmarks.small_datasets import train_split


def test_take_keeps_the_rows_that_are_asked_for():
    rows = [[1, 2, 3], [4], [5, 6]]
    taken = train_split(rows, head_above=2).take(np.array([0, 2]))
    assert [taken.items(row).tolist() for row in range(len(taken))] == [
        rows[0],
        rows[2],
    ]
    assert taken.user_ids.tolist() == [0, 2]
    assert taken.is_head.tolist() == [True, False]
    assert taken.sequence_lengths.tolist() == [3, 2]


def test_take_of_nobody_is_empty():
    taken = train_split([[1], [2]], head_above=2).take(np.array([], int))
    assert len(taken) == 0 and len(taken.values) == 0
