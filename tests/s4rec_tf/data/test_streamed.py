"""Batches of a split that stays on disk: the same samples, each once an epoch."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from benchmarks.small_datasets import markov_sequences, write_dataset
from s4rec_tf import spec
from s4rec_tf.data import augment, records, stream, streamed
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.samples import samples_a_user, training_samples
from s4rec_tf.data.streamed import StreamedSamples

NUM_ITEMS, LENGTH = 30, 8
NEEDS = BatchSpec(LENGTH, head_tail_by="prefix", future=True)
SMALL_BUFFER = 300
"""Actions; of about a thousand in the split."""


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch):
    monkeypatch.setattr(StreamedSamples, "buffered_actions", SMALL_BUFFER)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rows = [*markov_sequences(240, NUM_ITEMS, seed=4), [7], [8, 9]]
    root = tmp_path_factory.mktemp("data") / "dataset"
    return spec.DatasetDir(write_dataset(root, rows, NUM_ITEMS, num_shards=5))


def batches(samples, batch_size, epochs=1, needs=NEEDS, **place):
    """Batches of whole epochs, as arrays."""
    data = stream.streamed_batches(
        samples,
        needs,
        augment.AugmentationSettings(),
        NUM_ITEMS,
        batch_size,
        1,
        **place,
    )
    steps = epochs * (len(samples) // batch_size)
    return list(data.take(steps).as_numpy_iterator())


def contents(found, names=("item_ids", "target_ids", "is_head", "future_ids")):
    """How often each sample comes."""
    rows = [
        tuple(tuple(np.atleast_1d(batch[name][row])) for name in names)
        for batch in found
        for row in range(len(batch["item_ids"]))
    ]
    return collections.Counter(rows)


def in_memory(dataset, kind):
    split = records.read_split(dataset, "train")
    samples = training_samples(split, kind, LENGTH)
    data = stream.training_batches(
        *(split, samples, NEEDS, augment.AugmentationSettings()),
        *(NUM_ITEMS, 1, 1),
    )
    return contents(data.take(len(samples)).as_numpy_iterator())


@pytest.mark.parametrize(
    ("kind", "buffered"),
    [("auto", 1), ("sequence", SMALL_BUFFER), ("window", 1 << 20)],
)
def test_an_epoch_has_the_samples_of_the_split_in_memory(
    dataset, kind, buffered, monkeypatch
):
    monkeypatch.setattr(StreamedSamples, "buffered_actions", buffered)
    samples = StreamedSamples(dataset, kind, LENGTH, 1)
    found = contents(batches(samples, 1))
    assert found == in_memory(dataset, kind)


def test_all_but_the_rest_of_a_batch_is_seen_once(dataset):
    samples = StreamedSamples(dataset, "auto", LENGTH, 1)
    everything, size = in_memory(dataset, "auto"), 64
    assert len(samples) % size
    per_epoch = len(samples) // size
    found = batches(samples, size, epochs=2)
    missing = [everything - contents(found[n : n + per_epoch]) for n in (0, per_epoch)]
    assert [m.total() for m in missing] == [len(samples) % size] * 2
    assert missing[0] != missing[1]
    assert not contents(found[:per_epoch]) - everything


def test_order_is_random_within_the_buffer_and_new_every_epoch(dataset, monkeypatch):
    monkeypatch.setattr(StreamedSamples, "buffered_actions", 1 << 20)
    samples = StreamedSamples(dataset, "prefix", LENGTH, 1)
    number = {sample: n for n, sample in enumerate(in_memory(dataset, "prefix"))}
    found = batches(samples, 1, epochs=2)
    orders = [
        [number[sample] for batch in part for sample in contents([batch])]
        for part in (found[: len(samples)], found[len(samples) :])
    ]
    for one, other in itertools.combinations([sorted(orders[0]), *orders], 2):
        assert abs(stats.spearmanr(one, other).statistic) < 4 / len(samples) ** 0.5
    # Which quarter of the epoch a sample of each quarter of the file falls into.
    quarters = [np.arange(len(samples)) * 4 // len(samples)]
    quarters.append(quarters[0][np.argsort(orders[0])])
    table = np.histogram2d(*quarters, bins=4)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_batches_from_a_step_on_are_those_of_the_whole_epoch(dataset):
    samples = StreamedSamples(dataset, "auto", LENGTH, 1)
    needs = dataclasses.replace(NEEDS, num_views=2, num_negatives=3)
    whole = batches(samples, 50, epochs=2, needs=needs)
    steps = len(samples) // 50
    again = batches(
        samples, 50, epochs=1, needs=needs, first_epoch=0, first_step=steps - 2
    )
    assert steps > 4
    tf.nest.map_structure(
        np.testing.assert_array_equal, again, whole[steps - 2 : 2 * steps - 2]
    )


def test_workers_read_parts_that_make_up_the_epoch(dataset):
    samples = StreamedSamples(dataset, "auto", LENGTH, 1)
    everything, steps = in_memory(dataset, "auto"), len(samples) // 48
    found = []
    for worker in range(3):
        context = tf.distribute.InputContext(3, worker, num_replicas_in_sync=6)
        data = stream.streamed_batches(
            *(samples, NEEDS, augment.AugmentationSettings(), NUM_ITEMS, 48, 1),
            context=context,
        )
        # Two replicas of each worker take a batch of eight every step.
        own = list(data.take(2 * steps).as_numpy_iterator())
        assert {len(batch["item_ids"]) for batch in own} == {8}
        found += own
    assert not contents(found) - everything
    assert (everything - contents(found)).total() == len(samples) % 48


def test_users_have_numbers_of_their_own(dataset):
    samples = StreamedSamples(dataset, "prefix", LENGTH, 1)
    owner = {}
    for batch in batches(samples, 1):
        key = batch["user_index"][0]
        owner.setdefault(key, []).append(len(contents([batch])))
    lengths = records.read_split(dataset, "train").lengths
    assert sorted(map(sum, owner.values())) == sorted(lengths[lengths > 1] - 1)


def test_negatives_are_drawn_by_the_popularity_of_the_whole_split(dataset):
    samples = StreamedSamples(dataset, "auto", LENGTH, 1)
    needs = BatchSpec(LENGTH, num_negatives=50, negative_sampling="popularity")
    found = batches(samples, 8, epochs=2, needs=needs)
    drawn = np.concatenate([batch["negative_ids"].ravel() for batch in found])
    split = records.read_split(dataset, "train")
    expected = np.bincount(split.values, minlength=NUM_ITEMS + 1)[1:]
    np.testing.assert_array_equal(samples.item_counts, expected)
    share = expected / expected.sum() * len(drawn)
    counts = np.bincount(drawn, minlength=NUM_ITEMS + 1)[1:]
    assert stats.chisquare(counts, share).pvalue > 1e-4


def test_some_users_stand_for_all_of_many(dataset, monkeypatch):
    everybody = streamed.some_users(dataset, "valid", seed=1)
    split = records.read_split(dataset, "valid")
    assert sorted(everybody.user_ids) == list(split.user_ids)
    monkeypatch.setattr(streamed, "MOST_USERS", 60)
    some = streamed.some_users(dataset, "valid", seed=1)
    assert 35 < len(some) < 85
    rows = np.flatnonzero(np.isin(split.user_ids, some.user_ids))
    by_id = some.take(np.argsort(some.user_ids))
    np.testing.assert_array_equal(by_id.values, split.take(rows).values)
    np.testing.assert_array_equal(by_id.target_ids, split.target_ids[rows])


@pytest.mark.parametrize("kind", ["prefix", "sequence", "window"])
def test_samples_are_counted_as_they_are_cut(dataset, kind):
    split = records.read_split(dataset, "train")
    of_user = samples_a_user(split.lengths, kind, 3)
    cut = training_samples(split, kind, 3)
    found = np.bincount(cut.users, minlength=len(split))
    np.testing.assert_array_equal(of_user, found)


def test_split_without_two_actions_of_a_user_is_refused(tmp_path):
    root = write_dataset(tmp_path / "dataset", [[1], [2]], 3)
    with pytest.raises(ValueError, match=r"at least 2 actions.*Received: 2 users"):
        StreamedSamples(spec.DatasetDir(root), "auto", LENGTH, 1)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"num_correlated": 2}, "`num_correlated` must not need.*Received: 2.*memory"),
        ({"users": BatchSpec(LENGTH)}, "`auxiliary_rows` must not need.*=samples"),
    ],
)
def test_contents_that_take_the_whole_split_are_refused(dataset, needs, message):
    samples = StreamedSamples(dataset, "auto", LENGTH, 1)
    with pytest.raises(ValueError, match=message):
        batches(samples, 8, needs=dataclasses.replace(NEEDS, **needs))
