"""Operations of a step against sums done by hand."""

import numpy as np
import pytest

from benchmarks import flops


def test_one_block_of_two_positions_by_hand():
    # d = 4. Multiplications and additions of each product, for 2 positions:
    # query, key, value 2 * (2 * 4 * 4) * 3 = 192; output 2 * (2 * 4 * 4) = 64;
    # feed-forward 2 * (2 * 4 * 16) * 2 = 512. Of the 4 pairs of positions 3 may look:
    # score and context 2 * (2 * 4) * 3 = 48.
    assert flops.encoder(np.array([2]), 4, 1, last_only=False) == [816]
    assert flops.encoder(np.array([2]), 4, 3, last_only=False) == [3 * 816]


def test_a_last_block_asked_for_one_state_by_hand():
    # Key and value of 2 positions 2 * (2 * 4 * 4) * 2 = 128; query and output of one
    # 2 * 4 * 4 * 2 = 64; its feed-forward 2 * 4 * 16 * 2 = 256; its 2 pairs 32.
    assert flops.encoder(np.array([2]), 4, 1, last_only=True) == [480]
    assert flops.encoder(np.array([2]), 4, 2, last_only=True) == [816 + 480]


def test_a_single_position_needs_all_of_the_last_block():
    one = np.array([1])
    assert flops.encoder(one, 8, 2, True) == flops.encoder(one, 8, 2, False)


def test_sequences_are_counted_one_by_one_and_padding_is_free():
    lengths = np.array([0, 1, 5])
    counted = flops.encoder(lengths, 64, 2, last_only=True)
    assert counted[0] == 0
    apart = [flops.encoder(np.array([n]), 64, 2, last_only=True)[0] for n in (0, 1, 5)]
    assert counted.tolist() == apart


def test_logits_by_hand():
    # 3 positions, 10 classes, d = 4: 30 dot products of 4 products and 4 sums.
    assert flops.logits(3, 10, 4) == pytest.approx(240)
