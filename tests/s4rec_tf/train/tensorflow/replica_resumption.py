"""Trains on two CPU devices, once whole and once killed within an epoch; a script.

Arguments: a dataset folder, and the folders of both runs.
"""

import sys
from pathlib import Path

import pytest
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.runs import config
from s4rec_tf.train.keeping import Keeping
from s4rec_tf.train.tensorflow import strategies
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer, train

SETTINGS = ["epochs=2", "dim=8", "max_length=6", "num_layers=1", "batch_size=16"]


class Killed(BaseException):
    """A stand-in for `kill -9`."""


def train_until(step, dataset, run_dir):
    """Trains a run, killed before a step of this life, from 1; 0 is none."""
    begun, real = [], TensorFlowTrainer.step

    def counted(trainer):
        begun.append(1)
        if len(begun) == step:
            raise Killed
        return real(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TensorFlowTrainer, "step", counted)
        resolved = config.resolve("sasrec", None, SETTINGS)
        strategy = strategies.make_strategy("mirrored")
        train(resolved, dataset, run_dir, strategy, keeping=Keeping(steps=4))


def main(dataset, whole, killed):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    dataset = spec.DatasetDir(Path(dataset))
    train_until(0, dataset, Path(whole))
    for step in (7, 9):
        with pytest.raises(Killed):
            train_until(step, dataset, Path(killed))
    train_until(0, dataset, Path(killed))


if __name__ == "__main__":
    main(*sys.argv[1:])
