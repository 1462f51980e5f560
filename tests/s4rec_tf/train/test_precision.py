"""Training in bfloat16: layers compute in it, and nothing else does."""

import keras
import numpy as np
import pytest

from s4rec_tf.data import records
from s4rec_tf.runs import config, restore
from s4rec_tf.train import setup
from s4rec_tf.train.tensorflow import trainer
from s4rec_tf.train.tensorflow.refit import refit
from tests.s4rec_tf.small_runs import chain_dataset

NUM_ITEMS = 20
SMALL = ["dim=16", "num_layers=1", "max_length=6", "seed=5", "dropout=0.0"]
HISTORY = np.asarray([[0, 0, 3, 1, 4, 7]], np.int32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return chain_dataset(tmp_path_factory.mktemp("data"), NUM_ITEMS, noise=0.05)


def resolved(precision, *settings):
    return config.resolve("sasrec", None, [*SMALL, f"precision={precision}", *settings])


def states_in(precision, dataset):
    train = records.read_split(dataset, "train")
    model = setup.build_for_training(resolved(precision), dataset.info(), train)
    generator = np.random.default_rng(9)
    for weight in model.trainable_weights:
        weight.assign(weight + generator.normal(0, 0.3, weight.shape))
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    found = model.encode(HISTORY, 1)
    name = keras.backend.standardize_dtype(found.dtype)
    return name, keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))


def test_layers_alone_compute_in_it(dataset):
    whole, exact = states_in("float32", dataset)
    half, rounded = states_in("bfloat16", dataset)
    assert (whole, half) == ("float32", "bfloat16")
    # bfloat16 has 8 significant bits.
    np.testing.assert_allclose(rounded, exact, atol=0.05)
    assert np.abs(rounded - exact).max() > 1e-5
    assert keras.config.dtype_policy().name == "float32"


def test_a_run_learns_and_is_ranked_and_refitted_in_float32(
    dataset, tmp_path, monkeypatch
):
    wanted = ["epochs=2", "learning_rate=0.02"]
    progress = trainer.train(resolved("bfloat16", *wanted), dataset, tmp_path)
    assert progress.best_value > 0.5
    best, _ = restore.restore_best(tmp_path, dataset)
    # How a refit learns is tested elsewhere; here it is about what it gives back.
    monkeypatch.setattr(trainer.TensorFlowTrainer, "train", lambda *_: None)
    for model in (best, refit(tmp_path, dataset)):
        assert model.item_embedding.compute_dtype == "float32"
        assert model.encoder.blocks[0].inner.compute_dtype == "float32"
        assert model.user_vectors(HISTORY).dtype == "float32"


def test_a_wrong_precision_lists_the_right_ones():
    with pytest.raises(config.ConfigError, match="one of float32, bfloat16"):
        resolved("float16")
