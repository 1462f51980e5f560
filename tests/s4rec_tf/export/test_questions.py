"""Allow lists, similar items and explanations, through the saved files."""

import numpy as np
import pytest
import tensorflow as tf

from tests.s4rec_tf.export.standin import MAX_K, MAX_LENGTH, NUM_ITEMS
from tests.s4rec_tf.export.test_signatures import check, ids, padded, raw


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported.version)).signatures


def among(signatures, histories, allow, k=MAX_K, exclude=("",)):
    width = max(map(len, allow))
    return signatures["recommend_among"](
        history=tf.constant([padded(raw(history)) for history in histories]),
        k=tf.constant([k] * len(histories)),
        exclude=tf.constant([list(exclude)] * len(histories)),
        allow=tf.constant([[""] * (width - len(a)) + raw(a) for a in allow]),
    )


def test_allowed_items_alone_are_answered(signatures, exported):
    histories = [[5], [3, 9], [], [60, 2]]
    # Duplicates, items of the history, ties (4 and 8 have one vector), and few.
    allow = [[8, 4, 4, 5, 60], [9, 1, 30, 1], [7, 11, 12, 13], [2]]
    answer = among(signatures, histories, allow)
    for row, history in enumerate(histories):
        others = set(range(1, NUM_ITEMS + 1)) - set(allow[row])
        check(answer, row, exported.expected(history, {*history, *others}))
    assert ids(answer, 3) == []


def test_allowing_all_is_recommending(signatures):
    history = tf.constant([padded(raw([3, 9])), padded([])])
    common = {"history": history, "k": tf.constant([9, MAX_K])}
    exclude = tf.constant([["item-1"], ["item-2"]])
    everything = tf.constant([raw(range(NUM_ITEMS, 0, -1))] * 2)
    some = signatures["recommend_among"](exclude=exclude, allow=everything, **common)
    full = signatures["recommend"](exclude=exclude, **common)
    assert some["item_ids"].numpy().tolist() == full["item_ids"].numpy().tolist()
    for name in ("scores", "probabilities", "user_embedding"):
        np.testing.assert_allclose(some[name], full[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("allow", [[[]], [["", "unknown"]]])
def test_allowing_nothing_answers_nothing(signatures, allow):
    answer = signatures["recommend_among"](
        history=tf.constant([padded(raw([3]))]),
        k=tf.constant([5]),
        exclude=tf.constant([[""]]),
        allow=tf.constant(allow, tf.string, [1, len(allow[0])]),
    )
    assert ids(answer) == []
    assert answer["probabilities"].numpy().tolist() == [[0.0] * MAX_K]


def cosines(table, item):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return unit.astype(np.float64) @ unit[item - 1]


def similar(signatures, items, k, exclude):
    return signatures["similar_items"](
        item=tf.constant(items), k=tf.constant(k), exclude=tf.constant(exclude)
    )


def test_similar_items_have_the_highest_cosine(signatures, exported):
    answer = similar(
        signatures, ["item-5", "item-4"], [MAX_K, 3], [["", "item-6"], ["", ""]]
    )
    for row, (item, gone, k) in enumerate([(5, {5, 6}, MAX_K), (4, {4}, 3)]):
        scores = cosines(exported.table, item)
        order = sorted(range(1, NUM_ITEMS + 1), key=lambda i: -scores[i - 1])
        expected = [i for i in order if i not in gone][:k]
        check(answer, row, (expected, [scores[i - 1] for i in expected]))
        np.testing.assert_array_equal(
            answer["item_embedding"][row], exported.table[item - 1]
        )
    assert ids(answer, 1)[0] == 8, "the item with the same vector"
    assert answer["is_fallback"].numpy().tolist() == [False, False]


def test_item_that_is_unknown_gets_popular_items(signatures, exported):
    answer = similar(signatures, ["what?"], [4], [["item-3"]])
    check(answer, 0, exported.expected([], {3}, 4))
    assert answer["is_fallback"].numpy().tolist() == [True]
    assert not answer["item_embedding"].numpy().any()


def slow_score(exported, history, item):
    """In float64; the stand-in's user is a weighted mean, later positions more."""
    if not history:
        return 0.0
    weights = np.arange(MAX_LENGTH - len(history), MAX_LENGTH) + 1.0
    rows = exported.table[np.asarray(history) - 1].astype(np.float64)
    user = (rows * weights[:, None]).sum(0) / weights.sum()
    return float(user @ exported.table[item - 1])


def test_explanation_is_what_leaving_an_entry_out_changes(signatures, exported):
    histories, items = [[5, 9, 5, 31], [7], []], [2, 40, 3]
    answer = signatures["explain"](
        history=tf.constant([padded(raw(history)) for history in histories]),
        item=tf.constant(raw(items)),
    )
    for row, (history, item) in enumerate(zip(histories, items, strict=True)):
        score = slow_score(exported, history, item)
        effects = [
            (entry, score - slow_score(exported, history[:i] + history[i + 1 :], item))
            for i, entry in enumerate(history)
        ]
        effects.sort(key=lambda effect: -abs(effect[1]))
        blank = MAX_LENGTH - len(history)
        expected = raw([entry for entry, _ in effects]) + [""] * blank
        received = [name.decode() for name in answer["item_ids"].numpy()[row]]
        assert received == expected
        np.testing.assert_allclose(
            answer["influences"][row],
            [effect for _, effect in effects] + [0.0] * blank,
            rtol=1e-4,
            atol=1e-5,
        )
        np.testing.assert_allclose(answer["score"][row], score, rtol=1e-4, atol=1e-6)
    assert answer["is_fallback"].numpy().tolist() == [False, False, True]


def test_explaining_an_unknown_item_says_so(signatures):
    answer = signatures["explain"](
        history=tf.constant([padded(raw([5]))]), item=tf.constant(["no"])
    )
    assert answer["is_fallback"].numpy().tolist() == [True]
    assert set(answer["item_ids"].numpy()[0]) == {b""}
    assert not answer["influences"].numpy().any() and not answer["score"].numpy().any()


def test_explained_score_is_the_recommended_one(signatures, exported):
    history = tf.constant([padded(raw([3, 9, 1]))])
    best = signatures["serving_default"](history=history)
    item = best["item_ids"][:, 0]
    answer = signatures["explain"](history=history, item=item)
    np.testing.assert_allclose(answer["score"], best["scores"][:, 0], rtol=1e-5)


def test_too_many_explanations_are_refused(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="64 rows at most"):
        signatures["explain"](
            history=tf.constant([padded([])] * 65), item=tf.constant(["item-1"] * 65)
        )


def test_no_rows_of_the_other_questions(signatures):
    none, text = tf.zeros([0], tf.int32), tf.zeros([0], tf.string)
    lists, history = tf.zeros([0, 2], tf.string), tf.zeros([0, MAX_LENGTH], tf.string)
    answers = [
        signatures["recommend_among"](
            history=history, k=none, exclude=lists, allow=lists
        ),
        signatures["similar_items"](item=text, k=none, exclude=lists),
        signatures["explain"](history=history, item=text),
    ]
    assert [answer["item_ids"].shape.as_list() for answer in answers] == [
        [0, MAX_K],
        [0, MAX_K],
        [0, MAX_LENGTH],
    ]
