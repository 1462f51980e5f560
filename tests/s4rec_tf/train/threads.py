"""Trains some steps of sizes at which matrix products are divided among threads.

A script: the number of threads; prints the digest of all weights.
"""

import hashlib
import sys

import numpy as np
import tensorflow as tf

from benchmarks import shapes
from benchmarks.small_datasets import markov_sequences, train_split
from s4rec_tf.runs import config
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer

NUM_ITEMS = 3000


def main(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    split = train_split(markov_sequences(NUM_ITEMS, NUM_ITEMS, seed=2), head_above=8)
    settings = ["dim=64", "max_length=50", "batch_size=256", "seed=5"]
    resolved = config.resolve("sasrec", None, settings)
    trainer = TensorFlowTrainer(resolved, shapes.info_of(split, NUM_ITEMS), split)
    trainer.begin(0)
    for _ in range(3):
        trainer.step()
    digest = hashlib.sha256()
    for weight in trainer.model.weights:
        digest.update(np.asarray(weight).tobytes())
    print(digest.hexdigest())


if __name__ == "__main__":
    main(int(sys.argv[1]))
