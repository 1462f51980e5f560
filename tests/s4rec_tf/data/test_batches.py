import numpy as np
import pytest

from benchmarks.small_datasets import markov_sequences, train_split, write_dataset
from s4rec_tf import spec
from s4rec_tf.data import augment, records, stream
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.samples import (
    UserStream,
    suitable_batch_size,
    training_samples,
)

NUM_ITEMS = 30


TINY = train_split([[5, 6, 7, 8], [9], [1, 2, 3]], head_above=3)


def epoch(sequences, kind, needs, batch_size, seed=1, first_epoch=0, steps=None):
    samples = training_samples(sequences, kind, needs.max_length)
    data = stream.training_batches(
        sequences,
        samples,
        needs,
        augment.AugmentationSettings(),
        NUM_ITEMS,
        batch_size,
        seed,
        first_epoch,
    )
    steps = steps or len(samples) // batch_size
    return list(data.take(steps).as_numpy_iterator())


def test_every_prefix_is_a_sample_once_an_epoch():
    (batch,) = epoch(TINY, "prefix", BatchSpec(max_length=2), batch_size=5)
    seen = sorted(
        (tuple(items), target[0])
        for items, target in zip(batch["item_ids"], batch["target_ids"], strict=True)
    )
    assert seen == [
        ((0, 1), 2),
        ((0, 5), 6),
        ((1, 2), 3),
        ((5, 6), 7),
        ((6, 7), 8),
    ]
    users = dict(zip(batch["target_ids"][:, 0], batch["user_index"], strict=True))
    assert users == {6: 0, 7: 0, 8: 0, 2: 2, 3: 2}
    heads = dict(zip(batch["user_index"], batch["is_head"], strict=True))
    assert heads == {0: True, 2: False}


def test_a_sequence_has_a_target_at_every_position():
    (batch,) = epoch(TINY, "sequence", BatchSpec(max_length=5), batch_size=2)
    rows = {
        tuple(items): tuple(targets)
        for items, targets in zip(batch["item_ids"], batch["target_ids"], strict=True)
    }
    assert rows == {
        (0, 0, 5, 6, 7): (0, 0, 6, 7, 8),
        (0, 0, 0, 1, 2): (0, 0, 0, 2, 3),
    }


def test_windows_have_every_action_but_the_first_as_target_once():
    (batch,) = epoch(TINY, "window", BatchSpec(max_length=2), batch_size=3)
    rows = {
        tuple(items): tuple(targets)
        for items, targets in zip(batch["item_ids"], batch["target_ids"], strict=True)
    }
    assert rows == {(6, 7): (7, 8), (0, 5): (0, 6), (1, 2): (2, 3)}
    users = dict(zip(batch["target_ids"][:, 1], batch["user_index"], strict=True))
    assert users == {8: 0, 6: 0, 3: 2}


@pytest.mark.parametrize(("length", "expected"), [(50, (147, 1)), (51, (24, 7))])
def test_users_of_many_actions_are_cut_into_windows(length, expected):
    users = train_split([[1] * length] * 3, head_above=3)
    samples = training_samples(users, "auto", max_length=7)
    assert (len(samples), samples.num_targets) == expected


def test_no_sample_at_all_is_an_error():
    with pytest.raises(ValueError, match="2 users, the longest with 1"):
        training_samples(train_split([[1], [2]], 3), "prefix", 5)


NEEDS = BatchSpec(max_length=8, num_views=2, num_negatives=4)
LONG = train_split(markov_sequences(60, NUM_ITEMS, seed=1), head_above=8)


def test_a_resumed_pipeline_gives_what_the_uninterrupted_one_does():
    samples = training_samples(LONG, "prefix", 8)
    steps = len(samples) // 32
    whole = epoch(LONG, "prefix", NEEDS, 32, steps=3 * steps)
    resumed = epoch(LONG, "prefix", NEEDS, 32, first_epoch=2, steps=steps)
    for ours, theirs in zip(whole[2 * steps :], resumed, strict=True):
        for name, array in ours.items():
            np.testing.assert_array_equal(theirs[name], array)


OF_USERS = BatchSpec(max_length=8, num_views=2)
WITH_USERS = BatchSpec(max_length=8, users=OF_USERS)


def test_batches_of_users_stand_beside_every_nth_batch():
    # 60 users, of whom each has at least 3 actions.
    steps = len(training_samples(LONG, "prefix", 8)) // 16
    every = round(steps * 16 / 60)
    assert every > 1
    met = []
    for number, batch in enumerate(epoch(LONG, "prefix", WITH_USERS, 16)):
        users = batch["users"]
        assert users["item_ids"].shape == batch["item_ids"].shape == (16, 8)
        if number % every:
            for name in ("item_ids", "view_1", "view_2"):
                assert not users[name].any()
            continue
        met += users["user_index"].tolist()
        for row, user in enumerate(users["user_index"]):
            items = LONG.items(user)
            window = [0] * 8 + items[:-1].tolist()
            assert users["item_ids"][row].tolist() == window[-8:]
            assert users["target_ids"][row].tolist() == [items[-1]]
            assert users["is_head"][row] == LONG.is_head[user]
            assert items[-1] in items[:-1] or items[-1] not in users["view_1"][row]
        assert (users["view_1"][:, -1] != 0).all()
        assert (users["view_1"] != users["view_2"]).any()
    # About once an epoch: nobody a second time before all have been met.
    assert len(met) >= 48
    assert len(set(met[:60])) == min(len(met), 60)


def test_users_come_again_where_there_are_fewer_than_a_batch_has_rows():
    samples = UserStream.beside(40, 20, TINY, max_length=4)
    assert samples.every == 20
    assert samples.places(np.array(0)).tolist() == [0, 1] * 10


def test_a_resumed_stream_of_users_gives_what_the_uninterrupted_one_does():
    steps = len(training_samples(LONG, "prefix", 8)) // 16
    whole = epoch(LONG, "prefix", WITH_USERS, 16, steps=2 * steps)
    resumed = epoch(LONG, "prefix", WITH_USERS, 16, first_epoch=1, steps=steps)
    first = [batch["users"]["user_index"].tolist() for batch in whole[:steps]]
    for number, (ours, theirs) in enumerate(zip(whole[steps:], resumed, strict=True)):
        for name, array in ours["users"].items():
            np.testing.assert_array_equal(theirs["users"][name], array)
        if ours["users"]["item_ids"].any():
            assert ours["users"]["user_index"].tolist() != first[number]


def test_epochs_and_seeds_differ():
    first = epoch(LONG, "prefix", NEEDS, 32, first_epoch=0)[0]
    assert not np.array_equal(
        first["item_ids"],
        epoch(LONG, "prefix", NEEDS, 32, first_epoch=1)[0]["item_ids"],
    )
    assert not np.array_equal(
        first["item_ids"], epoch(LONG, "prefix", NEEDS, 32, seed=2)[0]["item_ids"]
    )
    assert not np.array_equal(first["view_1"], first["view_2"])


def test_views_come_from_the_input_and_never_hold_its_target_by_design():
    rows = [[item, item + 1] for item in range(1, 29)]
    needs = BatchSpec(max_length=4, num_views=1)
    (batch,) = epoch(train_split(rows, 3), "prefix", needs, batch_size=28)
    # A sequence of one item passes through every operator.
    np.testing.assert_array_equal(batch["view_1"], batch["item_ids"])


def test_negatives_by_position_are_never_the_rows_own():
    needs = BatchSpec(max_length=8, negatives_by_position=True)
    for batch in epoch(LONG, "sequence", needs, batch_size=16):
        own = np.concatenate([batch["item_ids"], batch["target_ids"]], axis=1)
        drawn = batch["negative_ids"]
        assert drawn.shape == batch["target_ids"].shape
        is_own = (drawn[:, :, None] == own[:, None, :]).any(axis=2)
        assert (drawn[is_own] == spec.PAD_ID).all()
        assert drawn.max() <= NUM_ITEMS


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_negatives_follow_their_distribution(sampling):
    rows = train_split([[1, 1, 1, 1, 1, 1, 2, 3]] * 40, head_above=3)
    needs = BatchSpec(8, num_negatives=64, negative_sampling=sampling)
    drawn = np.concatenate(
        [batch["negative_ids"].ravel() for batch in epoch(rows, "prefix", needs, 40)]
    )
    share = np.mean(drawn == 1)
    expected = 1 / NUM_ITEMS if sampling == "uniform" else 6 / 8
    assert share == pytest.approx(expected, abs=0.02)
    assert 1 <= drawn.min() and drawn.max() <= NUM_ITEMS


@pytest.mark.parametrize(
    ("num_samples", "num_replicas", "expected"),
    [(131_413, 1, 256), (6_400, 1, 128), (900, 1, 16), (7, 1, 7), (7, 2, 6)],
)
def test_the_batch_is_lowered_on_small_data(num_samples, num_replicas, expected):
    assert suitable_batch_size(num_samples, num_replicas) == expected


def test_records_come_back_in_order_of_user_id(tmp_path):
    rows = [[3, 1, 2, 2], [4, 5], [1, 2, 3, 4, 5]]
    dataset = spec.DatasetDir(write_dataset(tmp_path / "dataset", rows, 5))
    train, test = (records.read_split(dataset, name) for name in ("train", "test"))
    assert [list(train.items(row)) for row in range(3)] == [[3, 1], [4, 5], [1, 2, 3]]
    assert [list(test.items(row)) for row in range(2)] == [[3, 1, 2], [1, 2, 3, 4]]
    assert list(test.target_ids) == [2, 5]
    assert list(test.user_ids) == [b"user-00000", b"user-00002"]
    np.testing.assert_array_equal(
        test.padded(np.array([1, 0]), 3), [[2, 3, 4], [3, 1, 2]]
    )


def test_an_item_outside_the_vocabulary_is_named(tmp_path):
    dataset = spec.DatasetDir(write_dataset(tmp_path / "dataset", [[1, 2, 9]], 5))
    with pytest.raises(spec.DatasetError, match=r"`target_id`.*\[1, 5\]. Received: 9"):
        records.read_split(dataset, "test")


def test_the_future_is_all_that_follows_in_reverse():
    needs = BatchSpec(max_length=2, future=True)
    (batch,) = epoch(TINY, "prefix", needs, batch_size=5)
    futures = {
        (int(items[-1]), int(target[0])): tuple(future)
        for items, target, future in zip(
            batch["item_ids"], batch["target_ids"], batch["future_ids"], strict=True
        )
    }
    assert futures == {
        (5, 6): (7, 6),
        (6, 7): (8, 7),
        (7, 8): (0, 8),
        (1, 2): (3, 2),
        (2, 3): (0, 3),
    }
