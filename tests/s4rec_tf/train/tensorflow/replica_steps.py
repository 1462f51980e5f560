"""Trains the same global batches on one and on several CPU devices; run as a script.

Arguments: the file to write what both gave to, the model, the optimizer, the kind of
samples, or `users` for prefixes and S4Rec's other terms on batches of users, the number
of devices, and of steps.
"""

import sys

import numpy as np
import tensorflow as tf

from benchmarks import shapes
from benchmarks.small_datasets import markov_sequences, train_split
from s4rec_tf import backend
from s4rec_tf.layers.sinkhorn import sinkhorn_targets
from s4rec_tf.runs import config
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer

NUM_ITEMS, BATCH = 40, 32


def train(strategy, model, optimizer, kind, num_steps):
    settings = {"max_length": 12, "dim": 16, "num_layers": 1, "num_intents": 6}
    settings |= {"dropout": 0.0}
    if kind == "users":
        settings, kind = settings | {"auxiliary_rows": "users"}, "prefix"
    if optimizer == "lazy_adam":
        settings |= {"loss": "sampled_softmax", "num_negatives": 5}
    settings |= {"samples": kind, "batch_size": BATCH, "optimizer": optimizer}
    # Many steps of the shipped sizes; few large ones, which show a wrong scale.
    of_sgd, of_adam = (0.01, 0.001) if num_steps > 10 else (0.5, 0.01)
    if model == "dssrec":
        of_sgd = 0.001  # at 0.01 errors of rounding double every second step
    settings |= {"learning_rate": of_sgd if optimizer == "sgd" else of_adam}
    if kind == "sequence":
        # Shorter than any gradient: every step is clipped.
        settings["clip_norm"] = 0.01
    split = train_split(markov_sequences(120, NUM_ITEMS, seed=2), head_above=8)
    trainer = TensorFlowTrainer(
        config.from_flat({"model": model, "seed": 7, **settings}),
        shapes.info_of(split, NUM_ITEMS),
        split,
        strategy,
    )
    trainer.refresh(0)  # ICLRec's clusters
    trainer.begin(0)
    for _ in range(num_steps):
        trainer.step()
    logs = trainer.loss_terms()
    return [np.asarray(weight) for weight in trainer.model.trainable_weights], logs


def global_targets(strategy):
    """Sinkhorn targets of a batch, computed by every replica for its own rows."""
    scores = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    rows = 8 // strategy.num_replicas_in_sync

    def own(context):
        start = context.replica_id_in_sync_group * rows
        return tf.constant(scores[start : start + rows])

    @tf.function
    def replica_targets(part):
        gathered = backend.gather_batch(part)
        return backend.own_rows(sinkhorn_targets(gathered), rows)

    parts = strategy.experimental_distribute_values_from_function(own)
    results = strategy.run(replica_targets, args=(parts,))
    return np.concatenate(strategy.experimental_local_results(results))


def main(path, model, optimizer, kind, num_devices, num_steps):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * int(num_devices)
    )
    one = tf.distribute.get_strategy()
    devices = [f"CPU:{number}" for number in range(int(num_devices))]
    many = tf.distribute.MirroredStrategy(devices)
    results = {}
    for name, strategy in (("one", one), ("many", many)):
        weights, logs = train(strategy, model, optimizer, kind, int(num_steps))
        results.update({f"{name}/weight{n}": w for n, w in enumerate(weights)})
        results.update({f"{name}/log/{term}": value for term, value in logs.items()})
    single = tf.distribute.MirroredStrategy(["CPU:0"])
    results["one/targets"] = global_targets(single)
    results["many/targets"] = global_targets(many)
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
