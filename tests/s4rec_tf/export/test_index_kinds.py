"""Every kind of index: what is found, what a coarser table costs, what is refused."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf.retrieval import exclusions, tables
from s4rec_tf.retrieval.index import build_index
from s4rec_tf.retrieval.kinds import IndexKind, RetrievalError
from serving.servables.servable import Servable
from serving.status import StatusError
from tests.s4rec_tf.export.test_foreign_loaders import operations_of_others
from tests.s4rec_tf.export.test_write_version import write_again

KINDS = [
    IndexKind("grouped", "float32"),
    IndexKind("exact", "float32"),
    IndexKind("streaming", "float32"),
    IndexKind("streaming", "bfloat16"),
    IndexKind("streaming", "int8"),
    IndexKind("scann", "float32"),
    IndexKind("scann", "int8"),
]
EXACT_KINDS = KINDS[:5]
every_kind = pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: f"{kind.name}-{kind.table_dtype}"
)


def clustered_vectors(num_items=3000, width=16, num_users=64):
    """Items around 60 centres, and users near some of the items."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(60, width))
    items = centres[generator.integers(0, 60, num_items)]
    items = items + 0.5 * generator.normal(size=items.shape)
    near = items[generator.choice(num_items, num_users, replace=False)]
    users = near + 0.2 * generator.normal(size=near.shape)
    return items.astype("float32"), users.astype("float32")


ITEMS, USERS = clustered_vectors()


@pytest.fixture(scope="module")
def built():
    """Each kind over ITEMS, built once."""
    return {kind: build_index(ITEMS, kind=kind) for kind in KINDS}


def best_left(excluded, k):
    """Item ids of the k best for each user that are not excluded, in float64."""
    scores = USERS.astype(np.float64) @ ITEMS.astype(np.float64).T
    for row, gone in enumerate(excluded):
        scores[row, np.asarray(gone, int) - 1] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :k] + 1


def answer(index, excluded, k):
    """The answers of an export: candidates, and of those the first k allowed."""
    excluded = tf.constant(excluded, tf.int32)
    width = exclusions.candidates_needed(excluded, k, index.num_items)
    scores, item_ids = tf.function(index.top)(tf.constant(USERS), width)
    assert scores.shape == item_ids.shape == (len(USERS), int(width))
    return exclusions.drop_excluded(scores, item_ids, excluded, k)[1].numpy()


def recall(found, expected):
    pairs = zip(found.tolist(), expected.tolist(), strict=True)
    return np.mean([len(set(own) & set(best)) / len(best) for own, best in pairs])


LEAST_RECALL = {"float32": 1.0, "bfloat16": 0.97, "int8": 0.95}


@every_kind
def test_excluding_seen_items_costs_no_recall(built, kind):
    """With the 50 best excluded, the next 20 are found as surely as the first 20."""
    nobody = np.zeros([len(USERS), 1], int)
    seen = best_left(nobody[:, :0], 50)
    before = recall(answer(built[kind], nobody, 20), best_left(nobody[:, :0], 20))
    found = answer(built[kind], seen, 20)
    after = recall(found, best_left(seen, 20))
    least = 0.93 if kind.name == "scann" else LEAST_RECALL[kind.table_dtype]
    assert before >= least and after >= least
    assert after >= before - 0.02
    assert (found > 0).all()
    for own, gone in zip(found, seen, strict=True):
        assert not set(own) & set(gone)


@every_kind
def test_what_long_exclusions_leave_is_found(built, kind):
    """All but 30 items are excluded: the answer is those 30, in their order."""
    left = np.arange(30, 3000, 100)
    gone = np.setdiff1d(np.arange(1, 3001), left)
    found = answer(built[kind], np.tile(gone, [len(USERS), 1]), 30)
    assert [sorted(row) for row in found.tolist()] == [left.tolist()] * len(USERS)


@every_kind
def test_scores_are_near_the_inner_products(built, kind):
    scores, item_ids = built[kind].top(tf.constant(USERS), 10)
    assert (np.diff(scores) <= 0).all()
    vectors = ITEMS[item_ids.numpy() - 1].astype(np.float64)
    products = np.einsum("bd,bkd->bk", USERS, vectors)
    # bfloat16 keeps 8 bits; int8 is off by half a step of 1/127 of a row's extreme.
    share = {"float32": 1e-5, "bfloat16": 2.0**-8, "int8": 0.5 / 127}
    extremes = np.abs(vectors).max(2) if kind.table_dtype == "int8" else np.abs(vectors)
    weights = np.abs(USERS).sum(1)[:, None] * share[kind.table_dtype]
    bound = weights * (extremes if extremes.ndim == 2 else extremes.max(2))
    assert (np.abs(scores - products) <= bound + 1e-5).all()


@pytest.mark.parametrize("part_rows", [1, 7, 3000])
def test_parts_do_not_show(monkeypatch, part_rows):
    monkeypatch.setattr(tables, "PART_ROWS", part_rows)
    vectors = np.random.default_rng(8).integers(-2, 3, [300, 4]).astype("float32")
    users = np.random.default_rng(9).integers(-2, 3, [5, 4]).astype("float32")
    index = build_index(vectors, kind=IndexKind("streaming"))
    for k in (1, 8, 300):
        scores, item_ids = index.top(tf.constant(users), tf.constant(k))
        expected = np.argsort(-(users @ vectors.T), axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(item_ids, expected + 1)
        np.testing.assert_array_equal(
            scores, np.take_along_axis(users @ vectors.T, expected, 1)
        )


@pytest.mark.parametrize("num_items", [1, 40, 201, 5000])
def test_groups_do_not_show(num_items):
    """Few different vectors: nearly all scores are equal to many others."""
    generator = np.random.default_rng(num_items)
    vectors = generator.integers(-1, 2, [num_items, 3]).astype("float32")
    users = generator.integers(-1, 2, [7, 3]).astype("float32")
    index = build_index(vectors, kind=IndexKind("grouped"))
    for k in {1, min(num_items, 60), num_items}:
        scores, item_ids = index.top(tf.constant(users), tf.constant(k))
        expected = np.argsort(-(users @ vectors.T), axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(item_ids, expected + 1)
        np.testing.assert_array_equal(
            scores, np.take_along_axis(users @ vectors.T, expected, 1)
        )
    rows = tf.constant(generator.integers(0, num_items, [4, 2]), tf.int32)
    np.testing.assert_array_equal(index.items.vectors_at(rows), vectors[rows])


def test_similar_items_of_groups_are_those_of_parts(built):
    rows = tf.constant([0, 17, 2999])
    for own, other in zip(
        built[KINDS[0]].items.similar(rows, tf.constant(30)),
        built[IndexKind("streaming")].items.similar(rows, tf.constant(30)),
        strict=True,
    ):
        np.testing.assert_allclose(own, other, atol=1e-6)


@every_kind
def test_no_variable_is_looked_up_in_itself(built, kind):
    """One `ResourceGather`, and every later read of the variable copies all of it."""
    for operation in (built[kind].items.vectors_at, built[kind].items.ids_at):
        traced = tf.function(operation).get_concrete_function(tf.constant([1]))
        kinds_of_nodes = {node.type for node in traced.graph.get_operations()}
        assert "GatherV2" in kinds_of_nodes
        assert "ResourceGather" not in kinds_of_nodes


@every_kind
def test_no_users(built, kind):
    scores, item_ids = built[kind].top(tf.zeros([0, 16]), tf.constant(5))
    assert scores.shape == item_ids.shape == (0, 5)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_row_of_zeros_has_scores(dtype):
    index = build_index(
        np.zeros([3, 2], np.float32), kind=IndexKind("streaming", dtype)
    )
    scores, item_ids = index.top(tf.ones([1, 2]), tf.constant(3))
    assert scores.numpy().tolist() == [[0, 0, 0]]
    assert item_ids.numpy().tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("name", "dtype", "text"),
    [
        ("annoy", "float32", "grouped, exact, streaming, scann. Received: 'annoy'"),
        ("exact", "int8", "index exact must be one of float32. Received: 'int8'"),
        ("scann", "bfloat16", "must be one of float32, int8. Received: 'bfloat16'"),
    ],
)
def test_kinds_that_there_are_not(name, dtype, text):
    with pytest.raises(RetrievalError, match=text):
        IndexKind(name, dtype)


@pytest.mark.parametrize("kind", EXACT_KINDS[1:], ids=lambda kind: kind.table_dtype)
def test_exact_kinds_are_exported_with_tensorflows_own_operations(
    exported, tmp_path, kind
):
    version = write_again(exported, tmp_path / "models" / "demo", max_k=20, index=kind)
    assert operations_of_others(version) == set()
    history = np.asarray([[""] * 6 + ["item-3", "item-9"]], object)
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    found = signature(history=tf.constant(history))["item_ids"].numpy()[0]
    expected = {
        f"item-{item}".encode() for item in exported.expected([3, 9], [3, 9])[0]
    }
    least = {"float32": 20, "bfloat16": 19, "int8": 18}
    assert len(expected & set(found)) >= least[kind.table_dtype]


@pytest.fixture(scope="module")
def scann_version(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scann") / "models" / "demo"
    return write_again(exported, folder, index=IndexKind("scann"))


def test_scann_export_names_its_operations_and_is_served(exported, scann_version):
    assert all(
        name.startswith("Scann>") for name in operations_of_others(scann_version)
    )
    manifest = json.loads(manifest_of(scann_version).read_text("utf-8"))
    assert manifest["custom_ops"] == ["scann"]
    assert manifest["index"] == {"name": "scann", "table_dtype": "float32"}
    # Loading answers the warm-up requests.
    Servable(scann_version)


def test_scann_export_without_scann_is_refused(scann_version, monkeypatch):
    monkeypatch.setitem(sys.modules, "scann.scann_ops.py", None)
    with pytest.raises(StatusError, match="operations of the package scann"):
        Servable(scann_version)


def test_what_scann_does_not_use_is_no_memory_that_happened_to_be_there(scann_version):
    reader = tf.train.load_checkpoint(str(scann_version / "variables" / "variables"))
    unused = [
        reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "dp_norms" in name or "int8_multipliers" in name
    ]
    assert len(unused) == 2
    assert all(not values.any() for values in unused)


def manifest_of(version):
    return version.parent / ".meta" / version.name / "MANIFEST.json"
