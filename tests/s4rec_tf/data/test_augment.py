import collections

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from s4rec_tf.data import augment, view_operators
from s4rec_tf.spec import MASK_ID, PAD_ID

MAX_LENGTH = 6
INSERTED = 99


def padded(*sequences, max_length=MAX_LENGTH):
    rows = [[PAD_ID] * (max_length - len(items)) + list(items) for items in sequences]
    return np.array(rows, np.int32).reshape(len(sequences), max_length)


def unpadded(rows):
    rows = np.asarray(rows)
    for row in rows:
        is_real = row != PAD_ID
        assert (np.diff(is_real.astype(int)) >= 0).all(), f"not left-padded: {row}"
    return [[int(item) for item in row if item != PAD_ID] for row in rows]


def order_noise(*rows, max_length=MAX_LENGTH):
    """Noise of the real items; padding gets the lowest, which must not matter."""
    return np.array(
        [[0.0] * (max_length - len(row)) + list(row) for row in rows], np.float32
    )


def full_of(value, rows, max_length=MAX_LENGTH):
    return np.full((rows, max_length), value, np.int32)


def test_mask_hides_the_items_with_the_lowest_noise():
    item_ids = padded([1, 2, 3, 4, 5], [6, 7])
    noise = order_noise([0.5, 0.1, 0.9, 0.2, 0.7], [0.8, 0.3])
    # 0.4 * 5 = 2 items; 0.4 * 2 = 0.8, so 1.
    masked = unpadded(view_operators.mask(item_ids, noise, ratio=0.4))
    assert masked == [[1, MASK_ID, 3, MASK_ID, 5], [6, MASK_ID]]


def test_mask_hides_one_item_at_least_and_spares_one():
    item_ids = padded([1, 2, 3])
    noise = order_noise([0.5, 0.1, 0.9])
    assert unpadded(view_operators.mask(item_ids, noise, ratio=0.0)) == [
        [1, MASK_ID, 3]
    ]
    everything = unpadded(view_operators.mask(item_ids, noise, ratio=1.0))
    assert everything == [[MASK_ID, MASK_ID, 3]]


def test_substitute_replaces_the_items_with_the_lowest_noise():
    item_ids = padded([1, 2, 3, 4, 5], [6, 7], [8])
    noise = order_noise([0.5, 0.1, 0.9, 0.2, 0.7], [0.8, 0.3], [0.4])
    others = padded([11, 12, 13, 14, 15], [16, 17], [18])
    # 0.4 * 5 = 2 items; one at least; and one stays.
    found = unpadded(view_operators.substitute(item_ids, noise, others, ratio=0.4))
    assert found == [[1, 12, 3, 14, 5], [6, 17], [8]]


def test_a_hidden_item_may_be_hidden_again():
    item_ids = padded([1, MASK_ID, 3])
    noise = order_noise([0.9, 0.1, 0.5])
    assert unpadded(view_operators.mask(item_ids, noise, ratio=0.3)) == [
        [1, MASK_ID, 3]
    ]


@pytest.mark.parametrize(
    ("position", "expected"),
    [(0.0, [3, 4, 5]), (0.3, [1, 4, 5]), (0.6, [1, 2, 5]), (0.99, [1, 2, 3])],
)
def test_crop_removes_one_part_and_joins_the_ends(position, expected):
    # 0.6 * 5 = 3 items stay, so the removed pair begins at 0, 1, 2 or 3.
    item_ids = padded([1, 2, 3, 4, 5])
    noise = np.array([position], np.float32)
    assert unpadded(view_operators.crop(item_ids, noise, 0.6, "remove")) == [expected]


@pytest.mark.parametrize(
    ("position", "expected"),
    [(0.0, [1, 2, 3]), (0.5, [2, 3, 4]), (0.99, [3, 4, 5])],
)
def test_crop_keeps_one_part(position, expected):
    item_ids = padded([1, 2, 3, 4, 5])
    noise = np.array([position], np.float32)
    assert unpadded(view_operators.crop(item_ids, noise, 0.6, "keep")) == [expected]


def test_crop_counts_are_rounded_to_the_nearest_and_clipped():
    sequences = [[1, 2, 3, 4, 5, 6], [1, 2, 3], [1, 2]]
    noise = np.zeros(3, np.float32)
    # 0.2 * 6 = 1.2, 0.2 * 3 = 0.6, 0.2 * 2 = 0.4 and never less than 1.
    assert (
        unpadded(view_operators.crop(padded(*sequences), noise, 0.2, "keep"))
        == [[1]] * 3
    )
    # 0.9 * 6 = 5.4; 2.7 and 1.8 would leave everything.
    kept = unpadded(view_operators.crop(padded(*sequences), noise, 0.9, "keep"))
    assert kept == [[1, 2, 3, 4, 5], [1, 2], [1]]


def test_reorder_sorts_the_window_by_noise():
    item_ids = padded([1, 2, 3, 4, 5, 6])
    noise = order_noise([0.0, 0.0, 0.9, 0.1, 0.5, 0.0])
    # 0.5 * 6 = 3 items; position 0.6 * (6 - 3 + 1) = 2.4, so from the third.
    position = np.array([0.6], np.float32)
    reordered = unpadded(view_operators.reorder(item_ids, position, noise, 0.5))
    assert reordered == [[1, 2, 4, 5, 3, 6]]


def test_reorder_reverses_a_window_that_would_stay_as_it_is():
    item_ids = padded([1, 2, 3, 4, 5, 6])
    noise = order_noise([0.0, 0.0, 0.1, 0.5, 0.9, 0.0])
    position = np.array([0.6], np.float32)
    reordered = unpadded(view_operators.reorder(item_ids, position, noise, 0.5))
    assert reordered == [[1, 2, 5, 4, 3, 6]]


@pytest.mark.parametrize("noise", [[0.1, 0.2, 0.3], [0.2, 0.1, 0.3]])
def test_reorder_swaps_two_items_of_a_short_sequence(noise):
    position = np.array([0.0], np.float32)
    item_ids = padded([1, 2, 3])
    reordered = unpadded(
        view_operators.reorder(item_ids, position, order_noise(noise), 0.2)
    )
    assert reordered == [[2, 1, 3]]


def test_reorder_keeps_its_window_when_noise_is_rounded_up():
    highest = np.nextafter(np.float32(1), np.float32(0))
    item_ids = padded(list(range(1, 101)), max_length=100)
    noise = order_noise([highest] * 100, max_length=100)
    position = np.array([0.97], np.float32)
    reordered = unpadded(view_operators.reorder(item_ids, position, noise, 0.03))[0]
    # 3 items from floor(0.97 * 98) = 95 on; equal noise is no shuffle, so reversed.
    assert reordered == [*range(1, 96), 98, 97, 96, 99, 100]


def test_insert_puts_an_item_before_the_one_with_the_lowest_noise():
    item_ids = padded([1, 2, 3], [4, 5])
    noise = order_noise([0.5, 0.9, 0.1], [0.1, 0.2])
    inserted_ids = np.array([[0, 0, 0, 11, 12, 13], [0, 0, 0, 0, 14, 15]], np.int32)
    longer = unpadded(view_operators.insert(item_ids, noise, inserted_ids, 0.2))
    assert longer == [[1, 2, 13, 3], [14, 4, 5]]


def test_insert_pushes_out_the_oldest():
    item_ids = padded([1, 2, 3, 4, 5, 6])
    noise = order_noise([0.9, 0.8, 0.1, 0.7, 0.2, 0.6])
    inserted_ids = np.array([[11, 12, 13, 14, 15, 16]], np.int32)
    # 0.3 * 6 = 1.8, so two items, before the third and before the fifth.
    longer = unpadded(view_operators.insert(item_ids, noise, inserted_ids, 0.3))
    assert longer == [[13, 3, 4, 15, 5, 6]]


def test_insert_into_a_full_row_is_never_pushed_out_itself():
    item_ids = padded([1, 2, 3, 4, 5, 6])
    noise = order_noise([0.0, 0.8, 0.1, 0.7, 0.2, 0.6])
    longer = unpadded(view_operators.insert(item_ids, noise, full_of(INSERTED, 1), 0.2))
    assert longer == [[2, INSERTED, 3, 4, 5, 6]]


def test_augment_draws_an_operator_for_every_row():
    item_ids = padded(*[[1, 2, 3, 4]] * 4)
    noise = augment.AugmentationNoise(
        operator=np.array([0.0, 0.25, 0.5, 0.9999], np.float32),
        position=np.zeros(4, np.float32),
        order=order_noise(*[[0.9, 0.8, 0.7, 0.6]] * 4),
        inserted_ids=full_of(INSERTED, 4),
    )
    views = unpadded(augment.augment(item_ids, noise, augment.AugmentationSettings()))
    # mask 1.2 -> 1; crop keeps 2.4 -> 2; reorder 2 items at least; insert 0.8 -> 1.
    assert views == [[1, 2, 3, MASK_ID], [3, 4], [2, 1, 3, 4], [1, 2, 3, INSERTED, 4]]


def test_augment_draws_only_from_the_chosen_operators():
    item_ids = padded([1, 2, 3, 4], [1, 2, 3, 4])
    noise = augment.AugmentationNoise(
        operator=np.array([0.1, 0.9], np.float32),
        position=np.zeros(2, np.float32),
        order=order_noise(*[[0.9, 0.8, 0.7, 0.6]] * 2),
        inserted_ids=full_of(INSERTED, 2),
    )
    chosen = augment.AugmentationSettings(operators=("insert", "mask"))
    views = unpadded(augment.augment(item_ids, noise, chosen))
    assert views == [[1, 2, 3, INSERTED, 4], [1, 2, 3, MASK_ID]]


def test_short_sequences_draw_from_operators_of_their_own():
    item_ids = padded([1, 2, 3, 4], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3])
    noise = augment.AugmentationNoise(
        operator=np.array([0.1, 0.1, 0.9, 0.9], np.float32),
        position=np.zeros(4, np.float32),
        order=order_noise(*[[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7]] * 2),
        inserted_ids=full_of(INSERTED, 4),
    )
    chosen = augment.AugmentationSettings(
        operators=("crop", "reorder"),
        short_length=4,
        short_operators=("insert", "mask"),
    )
    views = unpadded(augment.augment(item_ids, noise, chosen))
    assert views == [[3, 4], [1, 2, INSERTED, 3], [2, 1, 3, 4], [1, 2, MASK_ID]]


def test_short_sequences_may_be_left_to_dropout():
    item_ids = padded([1, 2, 3, 4], [1, 2, 3])
    noise = augment.AugmentationNoise(
        operator=np.array([0.5, 0.5], np.float32),
        position=np.zeros(2, np.float32),
        order=order_noise([0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7]),
        inserted_ids=full_of(INSERTED, 2),
    )
    chosen = augment.AugmentationSettings(
        operators=("mask",), short_length=4, short_operators=("identity",)
    )
    views = unpadded(augment.augment(item_ids, noise, chosen))
    assert views == [[1, 2, 3, MASK_ID], [1, 2, 3]]


def drawn_noise(generator, rows, max_length):
    return augment.AugmentationNoise(
        operator=generator.random(rows, dtype=np.float32),
        position=generator.random(rows, dtype=np.float32),
        order=generator.random((rows, max_length), dtype=np.float32),
        inserted_ids=generator.integers(500, 600, (rows, max_length)).astype(np.int32),
    )


def nearest(share):
    return int(share + 0.5)


def check_view(name, items, view, strength, max_length, crop_mode):
    """Bounds that hold for every view, from the rules and not from the code."""
    length = len(items)
    if length < 2:
        assert view == items
        return
    assert view != items
    counts = collections.Counter(items)
    if name == "mask":
        assert len(view) == length
        hidden = sum(item == MASK_ID for item in view)
        assert hidden == min(max(nearest(strength * length), 1), length - 1)
        same = zip(items, view, strict=True)
        assert all(a == b for a, b in same if b != MASK_ID)
    elif name == "crop":
        kept = min(max(nearest(strength * length), 1), length - 1)
        assert len(view) == kept
        gone = length - kept
        removing = [items[:at] + items[at + gone :] for at in range(kept + 1)]
        keeping = [items[at : at + kept] for at in range(gone + 1)]
        assert view in (removing if crop_mode == "remove" else keeping)
    elif name == "reorder":
        assert collections.Counter(view) == counts
        moved = [at for at in range(length) if items[at] != view[at]]
        window = min(max(nearest(strength * length), 2), length)
        assert moved[-1] - moved[0] < window
    else:
        inserted = min(max(nearest(strength * length), 1), length)
        assert len(view) == min(length + inserted, max_length)
        own = [item for item in view if item < 500]
        assert own == items[length - len(own) :] and len(own) < len(view)
        assert view[-1] == items[-1]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    strength=st.sampled_from([0.0, 0.2, 0.25, 0.6, 0.8, 1.0]),
    name=st.sampled_from(augment.OPERATORS),
    crop_mode=st.sampled_from(augment.CROP_MODES),
    max_length=st.sampled_from([2, 7, 20]),
)
def test_every_view_keeps_the_rules(seed, strength, name, crop_mode, max_length):
    generator = np.random.default_rng(seed)
    lengths = np.r_[0, 1, 2, max_length, generator.integers(0, max_length + 1, 12)]
    sequences = [
        [int(item) for item in generator.permutation(np.arange(1, 400))[:length]]
        for length in lengths
    ]
    chosen = augment.AugmentationSettings(
        mask_ratio=strength,
        crop=crop_mode,
        crop_kept=strength,
        reorder_ratio=strength,
        insert_ratio=strength,
        operators=(name,),
    )
    noise = drawn_noise(generator, len(lengths), max_length)
    item_ids = padded(*sequences, max_length=max_length)
    views = augment.augment(item_ids, noise, chosen)
    assert np.asarray(views).dtype == np.int32
    for items, view in zip(sequences, unpadded(views), strict=True):
        check_view(name, items, view, strength, max_length, crop_mode)


def test_every_choice_is_equally_likely():
    rows = 6000
    generator = np.random.default_rng(3)
    noise = drawn_noise(generator, rows, MAX_LENGTH)
    item_ids = padded(*[[1, 2, 3, 4]] * rows)

    def frequencies(views):
        counts = collections.Counter(map(tuple, unpadded(views)))
        return {view: count / rows for view, count in counts.items()}

    masked = frequencies(view_operators.mask(item_ids, noise.order, 0.25))
    assert len(masked) == 4 and max(masked.values()) < 0.28
    cropped = frequencies(view_operators.crop(item_ids, noise.position, 0.5, "remove"))
    assert len(cropped) == 3 and max(cropped.values()) < 0.37
    shuffled = view_operators.reorder(item_ids, noise.position, noise.order, 0.5)
    assert (
        len(frequencies(shuffled)) == 3 and max(frequencies(shuffled).values()) < 0.37
    )


def test_a_graph_and_a_compiled_graph_give_the_eager_result():
    generator = np.random.default_rng(5)
    sequences = [list(range(1, length + 1)) for length in range(21)]
    item_ids = padded(*sequences, max_length=20)
    noise = drawn_noise(generator, len(sequences), 20)
    chosen = augment.AugmentationSettings()
    eager = np.asarray(augment.augment(item_ids, noise, chosen))

    dataset = tf.data.Dataset.from_tensor_slices((item_ids, noise)).batch(8)
    views = dataset.map(lambda ids, noise: augment.augment(ids, noise, chosen))
    assert views.element_spec.shape.as_list() == [None, 20]
    np.testing.assert_array_equal(
        np.concatenate(list(views.as_numpy_iterator())), eager
    )

    compiled = tf.function(
        lambda ids, noise: augment.augment(ids, noise, chosen), jit_compile=True
    )
    np.testing.assert_array_equal(compiled(item_ids, noise), eager)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mask_ratio": 1.5}, r"`mask_ratio` must lie in \[0, 1\]. Received: 1.5"),
        ({"crop_kept": -0.1}, r"`crop_kept` must lie in \[0, 1\]. Received: -0.1"),
        ({"insert_ratio": float("nan")}, "`insert_ratio` must lie"),
        ({"crop": "half"}, "`crop` must be one of remove, keep. Received: half"),
        ({"operators": ("mask", "swap")}, "`operators` must be one or more of mask"),
        ({"operators": ()}, "`operators` must be one or more of mask"),
        ({"short_operators": ("cut",)}, r"`short_operators` must be one .*cut"),
        ({"short_length": -1}, "`short_length` must not be negative. Received: -1"),
    ],
)
def test_wrong_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        augment.AugmentationSettings(**setting)
