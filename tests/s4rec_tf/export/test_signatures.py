"""The exported graph against a slow reference, through its saved files."""

import numpy as np
import pytest
import tensorflow as tf

from tests.s4rec_tf.export.standin import MAX_K, MAX_LENGTH, NUM_ITEMS, WIDTH

LOWEST = np.finfo(np.float32).min


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported.version)).signatures


def raw(item_ids):
    return [f"item-{item}" for item in item_ids]


def padded(items):
    return [""] * (MAX_LENGTH - len(items)) + items


def ids(answer, row=0):
    """Item ids of a row, without the blanks that must all be at its end."""
    items = [item.decode() for item in answer["item_ids"].numpy()[row]]
    blank = items.index("") if "" in items else len(items)
    assert not any(items[blank:])
    assert (answer["scores"].numpy()[row][blank:] == LOWEST).all()
    return [int(item.removeprefix("item-")) for item in items[:blank]]


def check(answer, row, expected):
    items, scores = expected
    assert ids(answer, row) == items
    np.testing.assert_allclose(
        answer["scores"].numpy()[row][: len(scores)], scores, rtol=1e-4, atol=1e-5
    )


HISTORIES = [[5], [3, 9, 3, 1], list(range(1, 9)), [60, 2], []]


def test_serving_default(signatures, exported):
    rows = [padded(raw(history)) for history in HISTORIES]
    answer = signatures["serving_default"](history=tf.constant(rows))
    for row, history in enumerate(HISTORIES):
        check(answer, row, exported.expected(history, excluded=history))
    assert answer["is_fallback"].numpy().tolist() == [False] * 4 + [True]
    assert answer["user_embedding"].shape == (5, WIDTH)


def test_gaps_and_unknown_items_are_skipped(signatures, exported):
    rows = [
        ["item-4", "", "what?", "item-9", "", "", "item-2", ""],
        ["", "", "", "", "", "item-4", "item-9", "item-2"],
    ]
    answer = signatures["serving_default"](history=tf.constant(rows))
    for row in range(2):
        check(answer, row, exported.expected([4, 9, 2], excluded=[4, 9, 2]))


@pytest.mark.parametrize(
    "item", ["", "nope", "item-1 ", "ITEM-1", "item-1\0", "x" * 100_000, b"\xff\xfe"]
)
def test_history_without_a_known_item_gets_popular_items(signatures, exported, item):
    row = tf.constant([[""] * (MAX_LENGTH - 1) + [item]])
    answer = signatures["serving_default"](history=row)
    check(answer, 0, exported.expected([]))
    assert answer["is_fallback"].numpy().tolist() == [True]
    assert np.isfinite(answer["user_embedding"].numpy()).all()


def test_recommend_takes_k_and_exclusions_by_row(signatures, exported):
    histories = [[5], [3, 9], [], [7]]
    excluded = [[1, 2], [4, 60], [11, 12], [0, 0]]
    k = [3, 50, 4, -7]
    answer = signatures["recommend"](
        history=tf.constant([padded(raw(history)) for history in histories]),
        k=tf.constant(k),
        exclude=tf.constant([raw(items) for items in excluded]),
    )
    for row, history in enumerate(histories):
        length = min(max(k[row], 0), MAX_K)
        gone = {*history, *excluded[row]}
        check(answer, row, exported.expected(history, gone, length))


def test_recommend_with_history_may_answer_the_history(signatures, exported):
    history = [3, 9, 1]
    answer = signatures["recommend_with_history"](
        history=tf.constant([padded(raw(history))]),
        k=tf.constant([MAX_K]),
        exclude=tf.constant([["item-9"]]),
    )
    check(answer, 0, exported.expected(history, excluded=[9]))
    assert {1, 3} & set(ids(answer))


@pytest.mark.parametrize("history", [[5], []])
def test_excluding_many_is_exact_and_fills_up(signatures, exported, history):
    excluded = list(range(1, NUM_ITEMS + 1))
    excluded.remove(17)
    excluded.remove(42)
    answer = signatures["recommend"](
        history=tf.constant([padded(raw(history))]),
        k=tf.constant([10]),
        exclude=tf.constant([raw(excluded * 3)]),
    )
    expected = exported.expected(history, {*excluded, *history}, 10)
    assert sorted(expected[0]) == [17, 42]
    check(answer, 0, expected)


def test_no_exclusions_at_all(signatures, exported):
    answer = signatures["recommend"](
        history=tf.constant([padded(raw([5]))]),
        k=tf.constant([4]),
        exclude=tf.zeros([1, 0], tf.string),
    )
    check(answer, 0, exported.expected([5], [5], 4))


def test_padding_by_a_batching_server_changes_nothing(signatures, exported):
    """TF Serving pads to the widest row with the tensor's first value."""
    history = tf.constant([padded(raw([5]))])
    plain = signatures["recommend"](
        history=history, k=tf.constant([9]), exclude=tf.constant([["", "item-3"]])
    )
    wide = signatures["recommend"](
        history=history,
        k=tf.constant([9]),
        exclude=tf.constant([["", "item-3", "", "", "", ""]]),
    )
    assert ids(plain) == ids(wide) == exported.expected([5], [5, 3], 9)[0]


def example(**features):
    built = {}
    for name, values in features.items():
        if values and isinstance(values[0], int):
            built[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            values = [value.encode() for value in values]
            built[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    features = tf.train.Features(feature=built)
    return tf.train.Example(features=features).SerializeToString()


def test_serving_examples_of_any_length(signatures, exported):
    histories = [[5], list(range(1, 31)), [], [8, 8]]
    rows = [example(history=raw(history)) for history in histories]
    rows.append(example(another=["x"]))
    answer = signatures["serving_examples"](examples=tf.constant(rows))
    for row, history in enumerate([*histories, []]):
        # The last L are seen; all of them are excluded.
        check(answer, row, exported.expected(history, excluded=history))
    assert answer["is_fallback"].numpy().tolist() == [False, False, True, False, True]


def test_last_known_items_count_in_examples(signatures, exported):
    history = [*raw(range(1, 11)), *["unknown"] * 20]
    answer = signatures["serving_examples"](
        examples=tf.constant([example(history=history)])
    )
    check(answer, 0, exported.expected(list(range(1, 11)), excluded=range(1, 11)))


@pytest.mark.parametrize("bad", [b"no example", None])
def test_malformed_examples_are_invalid(signatures, bad):
    row = bad or example(history=[1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["serving_examples"](examples=tf.constant([row]))


@pytest.mark.parametrize("name", ["recommend", "recommend_with_history"])
def test_inputs_of_different_rows_are_invalid(signatures, name):
    history = tf.constant([padded([]), padded([])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="number of rows"):
        signatures[name](
            history=history, k=tf.constant([1]), exclude=tf.constant([[""], [""]])
        )
    with pytest.raises(tf.errors.InvalidArgumentError, match="number of rows"):
        signatures[name](
            history=history, k=tf.constant([1, 1]), exclude=tf.constant([[""]])
        )


def test_no_rows_give_empty_answers(signatures):
    history = tf.zeros([0, MAX_LENGTH], tf.string)
    none = tf.zeros([0], tf.int32)
    exclude = tf.zeros([0, 2], tf.string)
    answers = [
        signatures["serving_default"](history=history),
        signatures["recommend"](history=history, k=none, exclude=exclude),
        signatures["recommend_with_history"](history=history, k=none, exclude=exclude),
        signatures["serving_examples"](examples=tf.zeros([0], tf.string)),
    ]
    for answer in answers:
        shapes = {name: tuple(value.shape) for name, value in answer.items()}
        assert shapes.pop("probabilities", (0, MAX_K)) == (0, MAX_K)
        assert shapes == {
            "item_ids": (0, MAX_K),
            "scores": (0, MAX_K),
            "user_embedding": (0, WIDTH),
            "is_fallback": (0,),
        }
