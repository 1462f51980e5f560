"""The command that probes a run's embeddings."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.analyze import __main__ as analyze_command
from s4rec_tf.analyze import gradients, probe
from s4rec_tf.data import records
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import config, restore
from s4rec_tf.train.tensorflow import trainer

NUM_ITEMS = 20
IDS = range(1, NUM_ITEMS + 1)
SMALL = ["epochs=1", "dim=8", "max_length=6", "batch_size=64", "num_layers=1"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "dataset"
    sequences = small_datasets.markov_sequences(300, NUM_ITEMS, seed=3)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS))


@pytest.fixture(scope="module")
def run_dirs(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    extra = {"s4rec": ["num_intents=4", "lambda_adv=0.5"], "sasrec": []}
    for model, settings in extra.items():
        resolved = config.resolve(model, None, [*SMALL, *settings])
        trainer.train(resolved, dataset, folder / model)
    return folder


def command(dataset, run_dir, *flags):
    return [f"--dataset={dataset.root}", f"--run_dir={run_dir}", *flags]


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_findings_are_those_of_the_split(dataset, run_dirs, capsys):
    assert analyze_command.main(command(dataset, run_dirs / "s4rec")) == 0
    printed = last_line(capsys)
    written = json.loads((run_dirs / "s4rec/evaluation/analysis.json").read_text())
    assert written["findings"] == printed
    assert written["split"] == "test"
    users = records.read_split(dataset, "test")
    model, _ = restore.restore_best(run_dirs / "s4rec", dataset)
    z = encoding.embed_users(model, users).astype(np.float64)
    mu = np.asarray(model.prototypes.mu, np.float64)
    cosine = (z @ mu.T) / np.linalg.norm(mu, axis=1)
    own = np.argmax(cosine, axis=1)
    counts = [int(np.sum(own == k)) for k in range(4)]
    heads = [int(np.sum((own == k) & users.is_head)) for k in range(4)]
    assert written["clusters"]["prototypes"] == {"users": counts, "heads": heads}
    rates = [h / n for h, n in zip(heads, counts, strict=True) if n]
    assert printed["prototypes_head_rate_median"] == pytest.approx(np.median(rates))
    assert printed["prototypes_head_rate_max"] == pytest.approx(max(rates))
    assert len(written["clusters"]["kmeans"]["users"]) == 128
    assert sum(written["clusters"]["kmeans"]["users"]) == len(users)
    logits = probe.out_of_fold_logits(z, users.is_head, seed=0)
    by_hand = np.mean((logits > 0) == users.is_head)
    assert printed["probe_accuracy"] == pytest.approx(by_hand)
    auc = probe.area_under_curve(logits, users.is_head)
    assert printed["probe_auc"] == pytest.approx(auc)
    assert printed["majority_accuracy"] == pytest.approx(0.8)


def test_examples_are_answered_as_the_model_ranks(dataset, run_dirs, tmp_path, capsys):
    titles = tmp_path / "titles.tsv"
    titles.write_text("item-7\tSeven\n")
    flags = (f"--titles={titles}", "--seed=5")
    assert analyze_command.main(command(dataset, run_dirs / "s4rec", *flags)) == 0
    text = (run_dirs / "s4rec/evaluation/examples.json").read_text()
    found, names = json.loads(text), ["Seven" if n == 7 else f"item-{n}" for n in IDS]
    assert "item-7" not in text and "user-" not in text
    assert [user["is_head"] for user in found["users"]] == [True] * 3 + [False] * 3
    model, _ = restore.restore_best(run_dirs / "s4rec", dataset)
    items = np.asarray(model.item_vectors(), np.float64)
    for user in found["users"]:
        history = [names.index(name) + 1 for name in user["history"]]
        assert len(history) == min(user["length"], 10)
        row = np.zeros((1, 6), np.int32)
        recent = history[-6:]
        row[0, 6 - len(recent) :] = recent
        scores = (np.asarray(model.user_vectors(row), np.float64) @ items.T)[0]
        order = [n for n in np.argsort(-scores) + 1 if n not in history]
        if user["length"] <= 10:
            assert user["answers"] == [names[n - 1] for n in order[:5]]
    mu = np.asarray(model.prototypes.mu, np.float64)
    best = np.argsort(-(mu @ items.T), axis=1)[:, :5]
    assert found["intents"] == [[names[n] for n in row] for row in best]


def test_a_model_without_prototypes_is_comparable(dataset, run_dirs, capsys):
    flags = ("--split=valid", "--seed=3")
    assert analyze_command.main(command(dataset, run_dirs / "sasrec", *flags)) == 0
    printed = last_line(capsys)
    assert "kmeans_head_rate_q25" in printed
    assert not any(name.startswith("prototypes") for name in printed)
    assert analyze_command.main(command(dataset, run_dirs / "sasrec", *flags)) == 0
    assert last_line(capsys) == printed


def test_gradients_of_the_terms(dataset, run_dirs, capsys):
    flags = ("--gradients",)
    assert analyze_command.main(command(dataset, run_dirs / "s4rec", *flags)) == 0
    printed = last_line(capsys)
    terms = ("next_item", "clustering", "contrastive", "distillation", "adversarial")
    assert all(printed[f"gradient_{name}"] > 0 for name in terms)
    assert printed["cosine_next_item"] == pytest.approx(1, abs=1e-5)
    assert all(abs(printed[f"cosine_{name}"]) <= 1 + 1e-6 for name in terms)


def test_gradients_are_weighted_and_of_what_the_next_item_loss_trains(
    dataset, run_dirs
):
    train = records.read_split(dataset, "train")
    found = {}
    for weight in (0.5, 1.0):
        keras.utils.set_random_seed(1)  # the same dropout in both
        model, run = restore.restore_best(run_dirs / "s4rec", dataset)
        resolved = run.read_config()
        model.loss_weights = lambda weight=weight: {
            "next_item": 1.0,
            "adversarial": weight,
        }
        found[weight] = gradients.gradient_findings(model, resolved, train)
    ratio = found[1.0]["gradient_adversarial"] / found[0.5]["gradient_adversarial"]
    assert ratio == pytest.approx(2, rel=1e-4)
    batch = gradients._first_batch(model, resolved, train)
    classifier = {id(w) for w in model.head_tail_classifier.trainable_weights}
    others = [w for w in model.trainable_weights if id(w) not in classifier]
    with tf.GradientTape() as tape:
        loss = model.next_item_loss(batch, model(batch).samples.states)
    plain = tf.linalg.global_norm(tape.gradient(loss, others)).numpy()
    # Not equal: dropout is on in the one. Of the same size, or a weight is missing.
    assert found[1.0]["gradient_next_item"] == pytest.approx(plain, rel=0.7)


def test_a_folder_that_is_no_run_is_named(dataset, tmp_path, capsys):
    assert analyze_command.main(command(dataset, tmp_path / "nothing")) == 1
    assert "nothing does not exist" in capsys.readouterr().err


def test_the_map_holds_users_of_the_split(dataset, run_dirs, capsys):
    analyze_command.main(command(dataset, run_dirs / "sasrec"))
    capsys.readouterr()
    with np.load(run_dirs / "sasrec/evaluation/embedding_map.npz") as stored:
        places, is_head = stored["places"], stored["is_head"]
    users = records.read_split(dataset, "test")
    # Fewer users than are shown at most: all of them.
    np.testing.assert_array_equal(is_head, users.is_head)
    assert places.shape == (len(users), 2)
    assert np.isfinite(places).all()
