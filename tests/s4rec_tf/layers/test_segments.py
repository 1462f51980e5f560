import numpy as np
import pytest

from s4rec_tf.layers import segments
from s4rec_tf.spec import MASK_ID
from tests.s4rec_tf.small_runs import as_numpy

ITEMS = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 6], [7, 8, 9, 1, 2, 3]], np.int32)


def columns(*values):
    return np.array(values)[:, None]


SEGMENT = segments.Segment(*map(np.int32, (columns(2, 5, 0), columns(3, 1, 2))))


def test_a_segment_is_hidden_or_left_alone():
    np.testing.assert_array_equal(
        segments.hide(ITEMS, SEGMENT),
        [
            [0, 1, MASK_ID, MASK_ID, MASK_ID, 5],
            [0, 0, 0, 0, 0, MASK_ID],
            [MASK_ID, MASK_ID, 9, 1, 2, 3],
        ],
    )
    np.testing.assert_array_equal(
        segments.alone(ITEMS, SEGMENT),
        [[0, 0, 0, 2, 3, 4], [0, 0, 0, 0, 0, 6], [0, 0, 0, 0, 7, 8]],
    )


def test_the_last_items_are_left():
    # 1 + floor(3 noise) of them.
    np.testing.assert_array_equal(
        segments.last_items(ITEMS, columns(0.5, 0.9, 0.99), most=3),
        [[0, 0, 0, 0, 4, 5], [0, 0, 0, 0, 0, 6], [0, 0, 0, 1, 2, 3]],
    )
    left = segments.last_items(ITEMS[:1], columns(0.2), most=3)
    np.testing.assert_array_equal(left, [[0, 0, 0, 0, 0, 5]])


def test_its_halves_change_places():
    np.testing.assert_array_equal(
        segments.exchange_halves(ITEMS, SEGMENT),
        [[0, 1, 3, 4, 2, 5], [0, 0, 0, 0, 0, 6], [8, 7, 9, 1, 2, 3]],
    )


def test_others_take_its_place_where_they_have_items():
    others = np.array([[9] * 6, [0] * 6, [0, 4, 4, 4, 4, 4]], np.int32)
    np.testing.assert_array_equal(
        segments.replace(ITEMS, SEGMENT, others),
        [[0, 1, 9, 9, 9, 5], [0, 0, 0, 0, 0, 6], [7, 4, 9, 1, 2, 3]],
    )


@pytest.mark.parametrize(("narrowest", "widths"), [(1, {1, 2, 3}), (2, {2, 3})])
def test_all_widths_up_to_half_and_all_places_are_drawn(narrowest, widths):
    generator = np.random.default_rng(0)
    rows = np.repeat(ITEMS, 500, axis=0)
    noise = generator.random((2, len(rows), 1)).astype(np.float32)
    noise[:, :3] = 1 - 2**-24
    found = segments.draw_segment(rows, *noise, narrowest)
    first, width = as_numpy(found.first)[:, 0], as_numpy(found.width)[:, 0]
    of_six, of_one, of_five = first > -1, rows[:, 4] == 0, rows[:, 0] == 0
    of_six, of_five = rows[:, 0] > 0, of_five & ~of_one
    assert set(width[of_six]) == widths
    assert set(width[of_five]) == {narrowest, 2}
    assert set(width[of_one]) == {1} and set(first[of_one]) == {5}
    assert (first >= np.argmax(rows > 0, axis=1)).all()
    assert (first + width <= 6).all()
    assert {first[n] + width[n] for n in np.flatnonzero(of_six)} >= {3, 4, 5, 6}
    assert {first[n] for n in np.flatnonzero(of_six)} >= {0, 1, 2, 3}
