"""TensorBoard's curves of a run."""

import types

import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from s4rec_tf.train.tensorflow.trainer import Board


def curve(folder, name):
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [
        (event.step, float(tf.make_ndarray(event.tensor_proto)))
        for event in events.Tensors(name)
    ]


def test_points_are_in_the_files_at_once_also_over_replicas(tmp_path):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build([keras.Variable(np.zeros(2, np.float32))])
    board = Board(tmp_path, types.SimpleNamespace(optimizer=optimizer))
    board.log(0, {"loss": 2.0, "val_NDCG@20": 0.25})
    board.log(1, {"loss": 1.0, "val_NDCG@20": 0.75})
    assert curve(tmp_path / "train", "epoch_loss") == [(0, 2.0), (1, 1.0)]
    assert curve(tmp_path / "train", "epoch_learning_rate") == [(0, 0.5), (1, 0.5)]
    found = curve(tmp_path / "validation", "epoch_NDCG@20")
    assert found == [(0, 0.25), (1, 0.75)]
