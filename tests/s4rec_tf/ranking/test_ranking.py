import numpy as np
import pytest

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.ranking import full_ranking, sampled_ranking

NAN = float("nan")


def sequences_of(histories, targets, is_head=None, lengths=None, user_ids=None):
    number = len(histories)
    default_ids = [b"user-%03d" % row for row in range(number)]
    full_lengths = lengths or [len(items) + 1 for items in histories]
    return Sequences(
        user_ids=np.array(user_ids or default_ids, object),
        values=np.array([item for items in histories for item in items], np.int32),
        offsets=np.cumsum([0, *map(len, histories)]),
        target_ids=np.array(targets, np.int32),
        is_head=np.array(is_head or [False] * number, bool),
        sequence_lengths=np.array(full_lengths, np.int32),
    )


def vectors_of(scores):
    """Vectors whose dot products are exactly the scores of a user and an item."""
    scores = np.array(scores, np.float32)
    return np.eye(len(scores), dtype=np.float32), scores.T.copy()


def drawn_case(seed, num_users=40, num_items=12):
    """Scores with many ties, histories with repeats, targets inside histories."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(-3, 4, (num_users, num_items)).astype(np.float32)
    histories = [
        generator.integers(1, num_items + 1, generator.integers(1, 15)).tolist()
        for _ in range(num_users)
    ]
    targets = generator.integers(1, num_items + 1, num_users).tolist()
    return scores, histories, targets


def slow_rank(scores, history, target, is_filtered):
    rank = 1
    for item in range(1, len(scores) + 1):
        if item == target or (is_filtered and item in history):
            continue
        if not scores[item - 1] < scores[target - 1]:
            rank += 1
    return rank


def test_the_history_is_excluded_but_the_target_is_not():
    scores = [[0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.8, 0.7, 0.6, 0.5]]
    sequences = sequences_of([[1, 2, 1, 5], [1, 3, 4]], targets=[4, 4])
    ranked = full_ranking.full_ranks(*vectors_of(scores), sequences)
    # User 0: item 3 is above item 4, items 1 and 2 are seen. User 1: item 2 is above.
    np.testing.assert_array_equal(ranked.ranks, [2, 2])
    np.testing.assert_array_equal(ranked.unfiltered_ranks, [4, 4])


@pytest.mark.parametrize(
    ("scores", "rank", "unfiltered_rank"),
    [
        ([np.inf, 0.3, 0.2], 1, 2),
        ([NAN, 0.3, 0.2], 1, 2),
        # As bad as its only rival: the tie goes against the target.
        ([0.0, -np.inf, -np.inf], 2, 3),
    ],
)
def test_an_excluded_item_may_score_as_it_likes(scores, rank, unfiltered_rank):
    ranked = full_ranking.full_ranks(
        *vectors_of([scores]), sequences_of([[1]], targets=[2]), top_k=1
    )
    assert ranked.ranks.tolist() == [rank]
    assert ranked.unfiltered_ranks.tolist() == [unfiltered_rank]


def test_vectors_without_numbers_rank_last():
    sequences = sequences_of([[1, 2], [3]], targets=[5, 4])
    users = np.array([[NAN, 0.0], [1.0, 1.0]], np.float32)
    items = np.ones((5, 2), np.float32)
    ranked = full_ranking.full_ranks(users, items, sequences)
    np.testing.assert_array_equal(ranked.unfiltered_ranks, [5, 5])
    np.testing.assert_array_equal(ranked.ranks, [3, 4])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cells", [1, 100, 1 << 23])
def test_ranks_and_lists_equal_a_double_loop(seed, cells, monkeypatch):
    monkeypatch.setattr(full_ranking, "CELLS_IN_MEMORY", cells)
    scores, histories, targets = drawn_case(seed)
    sequences = sequences_of(histories, targets)
    ranked = full_ranking.full_ranks(*vectors_of(scores), sequences, top_k=4)
    for row, (history, target) in enumerate(zip(histories, targets, strict=True)):
        assert ranked.ranks[row] == slow_rank(scores[row], history, target, True)
        found = slow_rank(scores[row], history, target, False)
        assert ranked.unfiltered_ranks[row] == found
        free = [n for n in range(1, 13) if n == target or n not in history]
        expected = sorted(-scores[row, n - 1] for n in free)[:4]
        listed = [n for n in ranked.top_ids[row].tolist() if n]
        assert set(listed) <= set(free) and len(set(listed)) == len(listed)
        assert [-scores[row, n - 1] for n in listed] == expected
        assert (ranked.top_ids[row, len(listed) :] == 0).all()


def test_a_list_is_shorter_where_everything_is_seen():
    sequences = sequences_of([[1, 2, 3]], targets=[4])
    ranked = full_ranking.full_ranks(*vectors_of([[3, 2, 1, 0]]), sequences, top_k=20)
    np.testing.assert_array_equal(ranked.top_ids, [[4, 0, 0, 0]])


def test_items_without_a_score_are_never_listed():
    vectors = vectors_of([[0.5, NAN, 0.7, -0.1]])
    ranked = full_ranking.full_ranks(*vectors, sequences_of([[1]], [3]), top_k=4)
    np.testing.assert_array_equal(ranked.top_ids, [[3, 4, 0, 0]])


def test_vectors_must_fit_the_users_and_the_items():
    sequences = sequences_of([[1, 2]], targets=[3])
    users, items = vectors_of([[1, 2, 3]])
    with pytest.raises(
        ValueError, match="`user_vectors` must have a row for each of 1"
    ):
        full_ranking.full_ranks(np.zeros((2, 1), np.float32), items, sequences)
    with pytest.raises(ValueError, match=r"target id must lie in \[1, 2\].*: 3"):
        full_ranking.full_ranks(users, items[:2], sequences)


def test_groups_by_flag_and_by_length():
    user_ids = [b"b", b"a", b"d", b"c", b"f", b"e"]
    sequences = sequences_of(
        [[1]] * 6,
        targets=[2] * 6,
        is_head=[False, False, True, False, False, False],
        lengths=[7, 3, 9, 3, 3, 5],
        user_ids=user_ids,
    )
    members = {
        name: [user_ids[row] for row in np.flatnonzero(is_member)]
        for name, is_member in full_ranking.user_groups(sequences).items()
    }
    # By length, then id: a3 c3 f3 e5 b7 d9, cut 2 + 2 + 1 + 1.
    assert members == {
        "head": [b"d"],
        "tail": [b"b", b"a", b"c", b"f", b"e"],
        "length_q1": [b"a", b"c"],
        "length_q2": [b"f", b"e"],
        "length_q3": [b"b"],
        "length_q4": [b"d"],
    }


def test_metrics_by_group_in_their_fixed_order():
    sequences = sequences_of(
        [[1]] * 4,
        targets=[2] * 4,
        is_head=[False, False, False, True],
        lengths=[3, 4, 5, 6],
    )
    found = full_ranking.ranking_metrics(
        np.array([1, 8, 30, 3]), np.array([2, 9, 31, 4]), sequences
    )
    names = "HR@5 HR@10 HR@20 NDCG@5 NDCG@10 NDCG@20 MRR".split()
    groups = "head tail length_q1 length_q2 length_q3 length_q4 unfiltered".split()
    assert list(found) == names + [f"{g}/{n}" for g in groups for n in names]
    assert found["HR@5"] == pytest.approx(2 / 4)
    assert found["HR@10"] == pytest.approx(3 / 4)
    assert found["head/NDCG@5"] == pytest.approx(0.5)
    assert found["tail/MRR"] == pytest.approx((1 + 1 / 8 + 1 / 30) / 3)
    by_quartile = [found[f"length_q{n}/HR@5"] for n in range(1, 5)]
    assert by_quartile == [1.0, 0.0, 0.0, 1.0]
    assert found["unfiltered/MRR"] == pytest.approx(
        (1 / 2 + 1 / 9 + 1 / 31 + 1 / 4) / 4
    )


def test_a_group_without_users_is_none():
    sequences = sequences_of([[1]] * 3, targets=[2] * 3)
    found = full_ranking.ranking_metrics(np.ones(3), np.ones(3), sequences)
    assert found["head/HR@5"] is None and found["length_q4/MRR"] is None
    assert found["tail/HR@5"] == 1.0


def test_negatives_are_distinct_and_neither_seen_nor_the_target():
    generator = np.random.default_rng(0)
    histories = [generator.integers(1, 31, size).tolist() for size in range(1, 26)]
    targets = generator.integers(1, 31, 25).tolist()
    sequences = sequences_of(histories, targets)
    drawn = sampled_ranking.sample_negatives(sequences, np.ones(30), 10, seed=1)
    for history, target, items in zip(histories, targets, drawn.tolist(), strict=True):
        real = [item for item in items if item]
        assert len(set(real)) == len(real) == min(10, 30 - len({*history, target}))
        assert not {*real} & {*history, target}


def test_negatives_follow_their_weights():
    sequences = sequences_of([[1]] * 20_000, targets=[2] * 20_000)
    weights = np.array([50, 50, 6, 3, 1, 0])
    drawn = sampled_ranking.sample_negatives(sequences, weights, 1, seed=2)[:, 0]
    shares = np.bincount(drawn, minlength=7) / 20_000
    np.testing.assert_allclose(shares, [0, 0, 0, 0.6, 0.3, 0.1, 0], atol=0.015)


def test_negatives_depend_on_the_seed_alone():
    sequences = sequences_of([[1], [2]], targets=[3, 4])
    draw = sampled_ranking.sample_negatives
    first = draw(sequences, np.ones(50), 9, seed=5)
    np.testing.assert_array_equal(draw(sequences, np.ones(50), 9, seed=5), first)
    assert (draw(sequences, np.ones(50), 9, seed=6) != first).any()


def test_sampled_metrics_of_known_ranks():
    # 9 items are left as negatives of every user, so all of them are drawn.
    scores = np.tile(np.arange(12, dtype=np.float32), (3, 1))
    scores[2, 6] = 8.0  # The target of user 2 ties with item 9.
    sequences = sequences_of([[1, 12]] * 3, targets=[11, 3, 7])
    found = sampled_ranking.sampled_metrics(
        *vectors_of(scores), sequences, item_counts=np.ones(12)
    )
    # User 0: none above. User 1: items 4 to 11. User 2: items 9, 10 and 11.
    expected = (1 + 1 / 9 + 1 / 4) / 3
    assert found["sampled_uniform_99/MRR"] == pytest.approx(expected)
    assert found["sampled_popular_100/MRR"] == pytest.approx(expected)
    assert len(found) == 14 and next(iter(found)) == "sampled_uniform_99/HR@5"


def test_items_never_trained_on_are_no_popular_negatives():
    scores = [[1.0, 2.0, 3.0, 4.0]]
    sequences = sequences_of([[1]], targets=[2])
    found = sampled_ranking.sampled_metrics(
        *vectors_of(scores), sequences, item_counts=np.array([1, 1, 0, 1])
    )
    assert found["sampled_popular_100/MRR"] == pytest.approx(1 / 2)
    assert found["sampled_uniform_99/MRR"] == pytest.approx(1 / 3)


def test_users_are_taken_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(full_ranking, "CELLS_IN_MEMORY", 10)
    assert full_ranking.user_chunks(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert full_ranking.user_chunks(2, 11) == [slice(0, 1), slice(1, 2)]


def test_negatives_are_the_same_however_many_users_are_drawn_for_at_once(monkeypatch):
    _, histories, targets = drawn_case(5)
    sequences = sequences_of(histories, targets)
    weights = np.arange(1.0, 13.0)
    expected = sampled_ranking.sample_negatives(sequences, weights, 4, seed=1)
    monkeypatch.setattr(full_ranking, "CELLS_IN_MEMORY", 5 * 12)
    received = sampled_ranking.sample_negatives(sequences, weights, 4, seed=1)
    np.testing.assert_array_equal(received, expected)
