"""The signature `intents` against Eq. 3 in NumPy, and titles beside the vocabulary."""

import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf import spec
from tests.s4rec_tf.export import intents_export
from tests.s4rec_tf.small_runs import as_numpy

HISTORIES = [[5, 9, 2], [60], []]


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    root = tmp_path_factory.mktemp("intents")
    model, version = intents_export.exported(root, root / "demo", score="cosine")
    rows = np.zeros((len(HISTORIES), intents_export.MAX_LENGTH), np.int32)
    for row, items in zip(rows, HISTORIES, strict=True):
        row[len(row) - len(items) :] = items
    texts = np.where(rows > 0, np.char.add("item-", rows.astype(str)), "")
    ask = tf.saved_model.load(str(version)).signatures["intents"]
    answer = ask(history=tf.constant(texts.astype(object), tf.string))
    answer = {name: value.numpy() for name, value in answer.items()}
    return model, rows, answer, version


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_shares_are_eq_3_largest_first(answered):
    model, rows, answer, _ = answered
    z = as_numpy(model.sequence_embeddings(rows))[:2]
    logits = unit(z) @ unit(as_numpy(model.prototypes.mu)).T / model.settings.tau_1
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.argsort(-p, axis=1)
    assert answer["intents"][:2].tolist() == order.tolist()
    expected = np.take_along_axis(p, order, axis=1)
    np.testing.assert_allclose(answer["shares"][:2], expected, rtol=1e-4)


def test_items_of_an_intent_score_highest_for_its_prototype(answered):
    model, _, answer, _ = answered
    scores = as_numpy(model.prototypes.mu) @ as_numpy(model.item_vectors()).T
    for intent, items in zip(answer["intents"][0], answer["item_ids"][0], strict=True):
        best = np.argsort(-scores[intent])[: len(items)] + 1
        assert [item.decode() for item in items] == [f"item-{n}" for n in best]


def test_a_history_of_unknown_items_has_no_intents(answered):
    *_, answer, _ = answered
    assert answer["is_fallback"].tolist() == [False, False, True]
    assert not answer["shares"][2].any() and set(answer["item_ids"][2].flat) == {b""}


def test_titles_lie_beside_the_items_line_by_line(answered):
    version = answered[-1]
    items = (version / spec.SERVED_ITEMS).read_text("utf-8").splitlines()
    titles = (version / spec.SERVED_TITLES).read_text("utf-8").splitlines()
    assert len(items) == len(titles) == intents_export.NUM_ITEMS
    assert dict(zip(items, titles, strict=True)) == {
        **intents_export.TITLES,
        "item-60": "",
    }
    card = (version.parent / ".meta" / "1" / "model_card.md").read_text("utf-8")
    assert "| `intents` | `history` |" in card
