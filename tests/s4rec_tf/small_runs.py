"""A small S4Rec with weights to be told apart, and trainings that break off."""

import keras
import numpy as np
import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.models.s4rec import S4Rec
from s4rec_tf.train import resumption
from s4rec_tf.train.tensorflow import trainer


def shaken_s4rec(num_items, max_length, **settings):
    """S4Rec whose weights lie far from their small initial values."""
    keras.utils.set_random_seed(3)
    base = {"max_length": max_length, "dim": 8, "num_intents": 5, "dropout": 0.0}
    base |= {"score": "dot", "beta_2": 0.1, "lambda_adv": 0.1}
    model = S4Rec({**base, **settings}, num_items)
    generator = np.random.default_rng(9)
    for weight in model.trainable_weights:
        weight.assign(weight + generator.normal(0, 0.3, weight.shape))
    return model


def chain_dataset(folder, num_items, **chain):
    """A dataset of 80 users whose next item mostly follows from the last one."""
    sequences = small_datasets.markov_sequences(80, num_items, seed=3, **chain)
    root = small_datasets.write_dataset(folder / "dataset", sequences, num_items)
    return spec.DatasetDir(root)


def as_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor).astype(np.float64)


def arrays(path):
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def train_with_a_break(resolved, dataset, run_dir, epoch=2):
    """Trains a run that breaks off in an epoch, after validation."""
    write_last = resumption.write_last

    def breaks(run, model, progress, *within):
        if progress.epochs_done == epoch:
            raise KeyboardInterrupt
        write_last(run, model, progress, *within)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumption, "write_last", breaks)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(resolved, dataset, run_dir)
