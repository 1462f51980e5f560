"""Generated data against counts of the real Amazon Beauty (2014, 5-core)."""

import numpy as np

from benchmarks import shapes


def test_beauty_has_the_sizes_of_beauty():
    shape = shapes.SHAPES["beauty"]
    split = shapes.generate(shape.num_users, shape.num_items)
    # 22,363 users, 12,101 items, 198,502 actions, 5 to 204 a user.
    assert len(split) == 22_363
    assert abs(split.sequence_lengths.sum() / 198_502 - 1) < 0.01
    assert split.sequence_lengths.min() == 5
    assert 151 <= split.sequence_lengths.max() <= 204
    assert np.array_equal(split.lengths, split.sequence_lengths - 2)
    assert split.is_head.sum() == 4_473
    assert split.values.min() >= 1 and split.values.max() <= 12_101
    counts = np.sort(np.bincount(split.values, minlength=12_102)[1:])[::-1]
    # Beauty: its most popular hundredth of items has 10.5 % of actions, tenth 42.8 %.
    assert abs(counts[:121].sum() / counts.sum() - 0.105) < 0.01
    assert abs(counts[:1210].sum() / counts.sum() - 0.428) < 0.02


def test_the_same_seed_gives_the_same_data():
    first, again, other = (shapes.generate(50, 80, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)


def test_repeated_users_are_copies():
    once = shapes.generate(30, 40)
    twice = shapes.repeat(once, 2)
    assert len(twice) == 60
    for row in (0, 29):
        assert twice.items(row).tolist() == once.items(row).tolist()
        assert twice.items(30 + row).tolist() == once.items(row).tolist()
    assert twice.is_head[30:].tolist() == once.is_head.tolist()
