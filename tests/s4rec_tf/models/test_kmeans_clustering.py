"""Table 3's K-means rows: clusters refreshed at the start of every epoch."""

import json

import keras
import numpy as np
import pytest

from s4rec_tf.data import records
from s4rec_tf.models.s4rec import S4Rec
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import config
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train.tensorflow import trainer
from tests.s4rec_tf import reference
from tests.s4rec_tf.small_runs import arrays, chain_dataset, train_with_a_break

NUM_ITEMS = 20
SMALL = ["epochs=3", "dim=8", "max_length=6", "num_intents=4"]
SMALL += ["clustering=kmeans", "dropout=0.1", "num_layers=1"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return chain_dataset(tmp_path_factory.mktemp("data"), NUM_ITEMS)


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    trainer.train(config.resolve("s4rec", None, SMALL), dataset, run_dir)
    return RunDir(run_dir)


@pytest.mark.slow
def test_a_run_that_broke_off_resumes_with_the_same_clusters(
    dataset, uninterrupted, tmp_path
):
    resolved = config.resolve("s4rec", None, SMALL)
    train_with_a_break(resolved, dataset, tmp_path / "run")
    trainer.train(resolved, dataset, tmp_path / "run")
    for path in (uninterrupted.last, uninterrupted.best):
        theirs = arrays(tmp_path / "run" / "checkpoints" / path.name)
        for name, array in arrays(path).items():
            np.testing.assert_array_equal(theirs[name], array, err_msg=name)
            assert name == "state" or np.isfinite(array).all(), name


def test_there_is_no_clustering_loss(uninterrupted):
    line = json.loads(uninterrupted.metrics.read_text().splitlines()[0])
    terms = {name for name in line if f"{name}_weighted" in line}
    assert terms == {"next_item", "contrastive", "distillation", "adversarial"}
    assert line["val_prototype_perplexity"] > 1


def build(**settings):
    keras.utils.set_random_seed(2)
    base = {"max_length": 6, "dim": 8, "num_intents": 3, "clustering": "kmeans"}
    return S4Rec({**base, **settings}, NUM_ITEMS)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_centroids_are_means_of_all_training_users(dataset, normalize, pooling):
    model = build(normalize_prototypes=normalize, pooling=pooling)
    train = records.read_split(dataset, "train")
    model.begin_epoch(
        lambda: encoding.embed_users(model, train), np.random.default_rng(0)
    )
    histories = train.padded(np.arange(len(train)), 6)
    states = np.asarray(model.encode(histories, 6), np.float64)
    is_real = (histories > 0)[..., None]
    z = (states * is_real).sum(axis=1) / is_real.sum(axis=1)
    z = states[:, -1] if pooling == "last" else z
    z = reference.unit(z) if normalize else z
    mu = np.asarray(model.prototypes.mu, np.float64)
    distances = np.linalg.norm(z[:, None] - mu[None], axis=2)
    own = np.argmin(distances, axis=1)
    means = np.stack([z[own == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(mu, means, atol=1e-4)


def test_other_seeds_and_epochs_draw_other_starts(dataset):
    train = records.read_split(dataset, "train")
    model = build(num_intents=8)
    found = []
    for key in ([1, 0], [1, 0], [1, 1], [2, 0]):
        model.begin_epoch(
            lambda: encoding.embed_users(model, train), np.random.default_rng(key)
        )
        found.append(np.asarray(model.prototypes.mu).tobytes())
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_online_prototypes_are_left_alone(dataset):
    model = build(clustering="online")
    before = np.asarray(model.prototypes.mu)
    model.begin_epoch(lambda: pytest.fail("embeds"), np.random.default_rng(0))
    np.testing.assert_array_equal(np.asarray(model.prototypes.mu), before)


def test_centroids_are_no_parameters_but_saved(tmp_path):
    model = build()
    assert not any(w is model.prototypes.mu for w in model.trainable_weights)
    model.prototypes.mu.assign(np.arange(24, dtype=np.float32).reshape(3, 8))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        np.asarray(loaded.prototypes.mu), np.asarray(model.prototypes.mu)
    )
    assert not any(w is loaded.prototypes.mu for w in loaded.trainable_weights)
