"""The models on JAX: one step gives what it gives on TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.small_datasets import markov_sequences, write_dataset
from s4rec_tf import arrays, spec
from s4rec_tf.data import records
from s4rec_tf.data.correlation import correlated_items
from s4rec_tf.data.samples import training_samples
from s4rec_tf.data.stream import training_batches
from s4rec_tf.runs import config
from s4rec_tf.train.setup import build_for_training

PROCESS = Path(__file__).with_name("jax_process.py")
NUM_ITEMS = 30
COMMON = {"dropout": 0.0, "dim": 16, "num_layers": 1, "max_length": 8}
COMMON |= {"optimizer": "sgd", "learning_rate": 1.0, "batch_size": 24}
OF_USERS = {
    key: value for key, value in COMMON.items() if key not in ("dropout", "num_layers")
}
CASES = {
    "sasrec": {"model": "sasrec", **COMMON, "num_layers": 2, "samples": "sequence"},
    "s4rec": {"model": "s4rec", **COMMON, "num_intents": 6},
    "s4rec_of_users": {
        **{"model": "s4rec", **COMMON, "num_intents": 6},
        **{"auxiliary_rows": "users", "view_weight": 1.0},
    },
    "s4rec_taught": {
        **{"model": "s4rec", **COMMON, "num_intents": 6, "predicted_intents": 0.5},
        **{"teach_weight": 0.5, "taught": "views", "teacher_decay": 0.9},
    },
    "bsarec": {"model": "bsarec", **COMMON, "causal_filter": False},
    "iclrec": {"model": "iclrec", **COMMON, "num_intents": 6},
    "dssrec": {"model": "dssrec", **COMMON, "num_intents": 2},
    "bpr": {"model": "bpr", **OF_USERS},
    "ncf": {"model": "ncf", **OF_USERS},
    "fpmc": {"model": "fpmc", **OF_USERS, "samples": "sequence"},
    "gru4rec": {"model": "gru4rec", **OF_USERS, "dropout": 0.0, "loss": "bpr_max"},
    "caser": {"model": "caser", **OF_USERS, "dropout": 0.0, "num_horizontal": 2},
    "hgn": {"model": "hgn", **OF_USERS},
}


def on_jax(*arguments):
    done = subprocess.run(
        [sys.executable, str(PROCESS), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax_backend")
    rows = markov_sequences(40, NUM_ITEMS, seed=5)
    made = spec.DatasetDir(write_dataset(folder / "dataset", rows, NUM_ITEMS))
    arrays.write_dataset_arrays(made, folder / "dataset.npz")
    return made, folder / "dataset.npz"


def tensorflow_step(resolved, dataset):
    """A step by Keras' own `train_on_batch`; what it was given and what it gave."""
    train = records.read_split(dataset, "train")
    model = build_for_training(resolved, dataset.info(), train)
    samples = training_samples(train, resolved.data.samples, model.max_length)
    batch = next(
        iter(
            training_batches(
                train,
                samples,
                model.batch_spec(),
                resolved.data,
                NUM_ITEMS,
                resolved.train.batch_size,
                seed=1,
            )
        )
    )
    users = {f"users/{key}": value for key, value in batch.get("users", {}).items()}
    rows = {key: value for key, value in batch.items() if key != "users"} | users
    given = {f"batch/{key}": value.numpy() for key, value in rows.items()}
    before = {f"weight_{n}": w.numpy() for n, w in enumerate(model.weights)}
    model.train_on_batch(batch)
    found = {f"weight_{n}": w.numpy() for n, w in enumerate(model.weights)}
    results = model.get_metrics_result()
    found |= {f"term/{name}": np.asarray(v) for name, v in results.items()}
    return given | before, found


def both_backends(names, dataset, folder):
    """The input of a step, TensorFlow's result, JAX's, and the batches."""
    given, expected = {"cases": json.dumps(names)}, {}
    for name in names:
        resolved = config.from_flat(CASES[name])
        inputs, outputs = tensorflow_step(resolved, dataset[0])
        given[f"{name}/config"] = json.dumps(resolved.flat())
        given |= {f"{name}/{key}": value for key, value in inputs.items()}
        expected |= {f"{name}/{key}": value for key, value in outputs.items()}
    steps, batches = folder / "steps.npz", folder / "batches.npz"
    np.savez(folder / "given.npz", **given)
    on_jax("compute", dataset[1], folder / "given.npz", steps, batches)
    with np.load(steps) as found, np.load(batches) as made:
        return given, expected, dict(found), dict(made)


def assert_same_step(outcomes, num_terms):
    given, expected, found, _ = outcomes
    terms = [key for key in expected if "/term/" in key and not key.endswith("/loss")]
    assert len(terms) == 2 * num_terms  # each weighted and not
    weights = [key for key in expected if "/weight_" in key]
    for key in terms + weights:
        np.testing.assert_allclose(
            found[key], expected[key], rtol=1e-5, atol=1e-5, err_msg=key
        )
    moved = [key for key in weights if np.ptp(expected[key] - given[key]) > 1e-4]
    assert len(moved) > 20


@pytest.fixture(scope="module")
def outcomes(dataset, tmp_path_factory):
    """Those of S4Rec and its encoder."""
    folder = tmp_path_factory.mktemp("outcomes")
    return both_backends(["sasrec", "s4rec"], dataset, folder)


def test_a_step_is_the_same_on_both_backends(outcomes):
    assert_same_step(outcomes, num_terms=1 + 5)


@pytest.mark.slow
def test_a_step_of_the_family_is_the_same_on_both_backends(dataset, tmp_path):
    others = [name for name in CASES if name not in ("sasrec", "s4rec")]
    outcomes = both_backends(others, dataset, tmp_path)
    assert_same_step(outcomes, num_terms=5 + 6 + 1 + 3 + 2 + 2 + 1 + 2 + 1 + 1 + 1)


@pytest.fixture(scope="module")
def made_batches(dataset, outcomes):
    return records.read_split(dataset[0], "train"), outcomes[3]


def windows(rows, length):
    padded = [([0] * length + list(row))[-length:] for row in rows]
    return np.array(padded)


def test_batches_hold_every_prefix_and_its_next_item(made_batches):
    train, found = made_batches
    rows = [train.items(user) for user in range(len(train))]
    prefixes = [row[:n] for row in rows for n in range(1, len(row))]
    np.testing.assert_array_equal(found["prefix/0/item_ids"], windows(prefixes, 6))
    next_items = [row[n] for row in rows for n in range(1, len(row))]
    np.testing.assert_array_equal(found["prefix/0/target_ids"][:, 0], next_items)
    users = [user for user, row in enumerate(rows) for _ in row[1:]]
    np.testing.assert_array_equal(found["prefix/0/user_index"], users)
    np.testing.assert_array_equal(found["prefix/0/is_head"], train.is_head[users])
    shortest_head = train.sequence_lengths[train.is_head].min()
    is_long = [len(prefix) >= shortest_head for prefix in prefixes]
    np.testing.assert_array_equal(found["popular/0/is_head"], is_long)
    assert 0 < sum(is_long) < len(is_long)


def test_a_user_is_a_sample_with_a_target_at_every_position(made_batches):
    train, found = made_batches
    rows = [train.items(user) for user in range(len(train)) if train.lengths[user] > 1]
    inputs = windows([row[:-1] for row in rows], 6)
    targets = windows([row[1:] for row in rows], 6)
    np.testing.assert_array_equal(found["sequence/0/item_ids"], inputs)
    np.testing.assert_array_equal(found["sequence/0/target_ids"], targets)


def test_negatives_are_drawn_as_the_needs_say(made_batches):
    train, found = made_batches
    uniform = found["prefix/0/negative_ids"]
    assert uniform.shape == (len(found["prefix/0/item_ids"]), 50)
    assert (uniform.min(), uniform.max()) == (1, NUM_ITEMS)
    counts = np.bincount(uniform.ravel(), minlength=NUM_ITEMS + 1)[1:]
    np.testing.assert_allclose(counts / uniform.size, 1 / NUM_ITEMS, atol=0.01)
    popular = found["popular/0/negative_ids"]
    counts = np.bincount(popular.ravel(), minlength=NUM_ITEMS + 1)
    share = np.bincount(train.values, minlength=NUM_ITEMS + 1) / len(train.values)
    np.testing.assert_allclose(counts / popular.size, share, atol=0.01)
    own = found["sequence/0/negative_ids"]
    assert own.shape == found["sequence/0/target_ids"].shape
    held = [found["sequence/0/item_ids"], found["sequence/0/target_ids"]]
    is_held = np.any(own[:, :, None] == np.concatenate(held, 1)[:, None, :], axis=2)
    assert not np.any(is_held & (own > 0))
    assert np.mean(own > 0) > 0.5


def test_views_are_drawn_anew_and_never_bring_the_target(made_batches):
    _, found = made_batches
    items, target = found["prefix/0/item_ids"], found["prefix/0/target_ids"]
    for view in ("view_1", "view_2"):
        inserted = found[f"prefix/0/{view}"]
        brings = np.any(inserted == target, axis=1) & ~np.any(items == target, axis=1)
        assert not np.any(brings)
        assert np.mean(np.any(inserted != items, axis=1)) > 0.5
    assert np.any(found["prefix/0/view_1"] != found["prefix/0/view_2"])
    assert np.any(found["prefix/0/view_1"] != found["prefix/1/view_1"])
    np.testing.assert_array_equal(items, found["prefix/1/item_ids"])


def test_views_bring_correlated_items_and_futures_are_reversed(made_batches):
    train, found = made_batches
    table = correlated_items(train, 2)
    items, views = found["correlated/0/item_ids"], found["correlated/0/view_1"]
    # A sequence of one item passes through.
    is_longer = items[:, -2] > 0
    for row, view in zip(items[is_longer], views[is_longer], strict=True):
        # Every item but the first of a full row is preceded by one that it goes with.
        for item, before in zip(row[:2:-1], view[-2::-2], strict=False):
            assert item == 0 or before in (*table[item], item) or 0 in table[item]
    rows = [train.items(user) for user in range(len(train))]
    futures = [row[n:][:6][::-1] for row in rows for n in range(1, len(row))]
    np.testing.assert_array_equal(found["correlated/0/future_ids"], windows(futures, 6))
