import numpy as np

from benchmarks.small_datasets import markov_sequences, train_split
from s4rec_tf import spec
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.correlation import correlated_items
from tests.s4rec_tf.data.test_batches import epoch

ROWS = [[1, 2, 3], [1, 2], [2, 4, 2], [5]]


def by_definition(rows, num_items):
    """Cor(i, j) of every pair, [V + 1, V + 1]."""
    users = list(enumerate(rows))
    users_of = {i: {u for u, row in users if i in row} for i in range(num_items + 1)}
    found = np.zeros((num_items + 1, num_items + 1))
    for i in range(1, num_items + 1):
        for j in range(1, num_items + 1):
            for user in users_of[i] & users_of[j]:
                found[i, j] += 1 / np.log(1 + len(set(rows[user])))
            norm = np.sqrt(len(users_of[i]) * len(users_of[j]))
            found[i, j] /= max(norm, 1)
    return found


def test_items_that_users_have_together_go_together():
    found = correlated_items(train_split(ROWS, 3), count=2)
    # 2 and 1: (1/ln 4 + 1/ln 3) / sqrt(6) = 0.67; 4 and 2: 1/ln 3 / sqrt(3) = 0.53;
    # 3 and 2: 1/ln 4 / sqrt(3) = 0.42; 3 and 1: 1/ln 4 / sqrt(2) = 0.51.
    np.testing.assert_array_equal(
        found, [[0, 0], [2, 3], [1, 4], [1, 2], [2, 2], [0, 0]]
    )


def test_agrees_with_the_definition():
    rows = markov_sequences(300, 700, seed=2, noise=0.5)
    expected = by_definition(rows, 700)
    np.fill_diagonal(expected, -1.0)
    found = correlated_items(train_split(rows, 8), count=3)
    for item in range(1, len(found)):
        best = np.sort(expected[item])[::-1][:3]
        num_best = int(np.sum(best > 0))
        if num_best:
            received = expected[item, found[item, :num_best]]
            np.testing.assert_allclose(received, best[:num_best], atol=1e-9)
        else:
            assert (found[item] == spec.PAD_ID).all()


def test_views_bring_what_goes_with_the_item_behind_them():
    rows = [[n, n + 100, n + 200, n + 300] for n in range(1, 41)]
    split = train_split(rows, 3)
    table = correlated_items(split, 3)
    needs = BatchSpec(8, num_views=1, num_correlated=3)
    brought = set()
    for batch in epoch(split, "prefix", needs, 40, steps=6):
        for items, target, view in zip(
            batch["item_ids"], batch["target_ids"], batch["view_1"], strict=True
        ):
            assert target[0] not in view
            for position in np.flatnonzero((view > 0) & ~np.isin(view, items)):
                follower = view[position + 1]
                assert view[position] in table[follower]
                brought.add(int(view[position]))
    assert brought
