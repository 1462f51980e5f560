"""Notes beside metrics; expected counts are taken from the sequences by hand."""

import dataclasses

import numpy as np
import pytest

from benchmarks.small_datasets import train_split
from s4rec_tf.evaluate.caveats import caveats

MANY = np.ones(300, int)


def split_of(histories, targets, head_above=99):
    split = train_split(histories, head_above)
    return dataclasses.replace(split, target_ids=np.array(targets, np.int32))


def test_nothing_is_said_where_nothing_is_amiss():
    split = split_of([[1], [1, 2], [3, 4, 5]], [2, 3, 6], head_above=2)
    assert caveats(split, MANY, is_sampled=True) == []


def test_targets_without_a_training_action_are_counted():
    counts = np.array([4, 0, 1, 0, 7, 1])
    (note,) = caveats(split_of([[1], [1, 3], [5]], [2, 4, 6]), counts)
    assert note.startswith("2 of 3 targets have no action in the train split")


def test_targets_in_the_history_are_counted_once_a_user():
    (note,) = caveats(split_of([[2, 2, 1], [3, 1], [4]], [2, 1, 5]), MANY)
    assert note.startswith("2 of 3 targets are in the user's history")
    assert "`recommend_with_history`" in note


@pytest.mark.parametrize(
    ("lengths", "heads", "expected"),
    [
        ([3, 3, 3, 3, 3], [0], ["1 of 1 head users", "all histories have 3 actions"]),
        ([5, 4, 4, 2, 2], [0, 1], ["1 of 2 head users have no longer history than 1"]),
        ([9, 8, 4, 4, 2], [0, 1, 2], []),  # one of three alone is tied
        ([5, 4, 3, 2, 1], [0], []),
    ],
)
def test_head_users_no_longer_than_tail_users(lengths, heads, expected):
    histories = [list(range(1, length)) for length in lengths]
    split = dataclasses.replace(
        split_of(histories, [200] * 5),
        sequence_lengths=np.array(lengths, np.int32),
        is_head=np.isin(np.arange(5), heads),
    )
    notes = caveats(split, MANY)
    assert len(notes) == len(expected)
    assert all(
        note.startswith(start) for note, start in zip(notes, expected, strict=True)
    )


def test_fewer_items_than_negatives():
    # Of 6 items a user with 4 in the history has 1 left beside the target, one with 1
    # has 4; of the 5 that were ever clicked on (not item 6), 1 and 3.
    split = split_of([[1, 2, 3, 6], [1]], [4, 2])
    first, second = caveats(split, np.array([1, 1, 1, 1, 1, 0]), is_sampled=True)
    assert first == (
        "sampled_uniform_99: only 1 to 4 negatives a user can be drawn of 6 items"
    )
    assert second == (
        "sampled_popular_100: only 1 to 3 negatives a user can be drawn of 5 items"
    )
    assert caveats(split, np.array([1, 1, 1, 1, 1, 0])) == []
