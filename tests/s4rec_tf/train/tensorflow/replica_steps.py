"""Trains the same global batches on one and on two CPU devices; run as a script.

Arguments: the file to write what both gave to, the optimizer, the kind of samples, or
`users` for prefixes and S4Rec's other terms on batches of users. One
process a case: a second `fit` under a strategy takes an extra first step (Keras 3.15).
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from benchmarks.small_datasets import markov_sequences, train_split
from s4rec_tf import backend
from s4rec_tf.data import augment, batches
from s4rec_tf.data.samples import training_samples
from s4rec_tf.layers.sinkhorn import sinkhorn_targets
from s4rec_tf.models.s4rec import S4Rec
from s4rec_tf.train.tensorflow.lazy_adam import LazyAdam

NUM_ITEMS, BATCH, STEPS = 40, 32, 4


def train(strategy, optimizer, kind):
    keras.utils.set_random_seed(4)
    settings = {"max_length": 12, "dim": 16, "num_intents": 6, "dropout": 0.0}
    if kind == "users":
        settings, kind = settings | {"auxiliary_rows": "users"}, "prefix"
    is_lazy = optimizer == "lazy_adam"
    if is_lazy:
        settings |= {"loss": "sampled_softmax", "num_negatives": 5}
    with strategy.scope():
        model = S4Rec(settings, NUM_ITEMS)
        chosen = {
            "sgd": lambda: keras.optimizers.SGD(0.5),
            "adam": lambda: keras.optimizers.Adam(0.01),
            "lazy_adam": lambda: LazyAdam(0.01),
        }[optimizer]()
        model.list_rows(is_lazy)
        chosen.build(model.trainable_variables)
        model.compile(chosen, jit_compile=False)
    split = train_split(markov_sequences(120, NUM_ITEMS, seed=2), head_above=8)
    samples = training_samples(split, kind, 12)
    data = batches.training_batches(
        split,
        samples,
        model.batch_needs(),
        augment.AugmentationSettings(),
        NUM_ITEMS,
        BATCH,
        seed=7,
    )
    history = model.fit(data, steps_per_epoch=STEPS, epochs=1, verbose=0)
    logs = {name: values[0] for name, values in history.history.items()}
    return [np.asarray(weight) for weight in model.trainable_weights], logs


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


def main(path, optimizer, kind):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    one = tf.distribute.get_strategy()
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {}
    for name, strategy in (("one", one), ("two", two)):
        weights, logs = train(strategy, optimizer, kind)
        results.update({f"{name}/weight{n}": w for n, w in enumerate(weights)})
        results.update({f"{name}/log/{term}": value for term, value in logs.items()})
    single = tf.distribute.MirroredStrategy(["CPU:0"])
    results["one/targets"] = global_targets(single)
    results["two/targets"] = global_targets(two)
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
