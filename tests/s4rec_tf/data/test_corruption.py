import numpy as np
import pytest

from benchmarks.small_datasets import markov_sequences, train_split
from s4rec_tf.data.corruption import replace_items
from s4rec_tf.runs import config
from s4rec_tf.train import setup

NUM_ITEMS = 1000
SPLIT = train_split(markov_sequences(400, 30, seed=1), head_above=8)


def test_the_share_is_replaced_and_the_rest_stays():
    found = replace_items(SPLIT, 0.3, NUM_ITEMS, seed=4)
    changed = found.values != SPLIT.values
    # An item comes up again in its own place once in a thousand draws.
    assert changed.mean() == pytest.approx(0.3, abs=0.002)
    drawn = found.values[changed]
    assert found.values.dtype == np.int32
    assert drawn.min() >= 1 and drawn.max() <= NUM_ITEMS
    # Uniform over a thousand items: the mean of n draws is 500.5 +- 289 / sqrt(n).
    assert abs(drawn.mean() - 500.5) < 5 * 289 / np.sqrt(len(drawn))
    np.testing.assert_array_equal(found.offsets, SPLIT.offsets)
    np.testing.assert_array_equal(found.is_head, SPLIT.is_head)


def test_greater_shares_hold_the_smaller_ones():
    small, large = (replace_items(SPLIT, x, NUM_ITEMS, seed=4) for x in (0.1, 0.5))
    changed = small.values != SPLIT.values
    np.testing.assert_array_equal(small.values[changed], large.values[changed])
    assert (large.values != SPLIT.values).sum() > 4 * changed.sum()


def test_none_replaced_and_all_replaced():
    assert replace_items(SPLIT, 0.0, NUM_ITEMS, seed=4) is SPLIT
    changed = replace_items(SPLIT, 1.0, NUM_ITEMS, seed=4).values != SPLIT.values
    assert changed.mean() > 0.99


def test_a_run_learns_from_what_was_replaced():
    resolved = config.resolve("popularity", None, ["replaced_share=0.4", "seed=4"])
    found = setup.training_sequences(resolved, SPLIT, NUM_ITEMS)
    expected = replace_items(SPLIT, 0.4, NUM_ITEMS, seed=4)
    np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize("share", ["-0.1", "1.5"])
def test_a_share_beyond_all_is_refused(share):
    with pytest.raises(config.ConfigError, match=f"replaced_share.*{share}"):
        config.resolve("popularity", None, [f"replaced_share={share}"])
