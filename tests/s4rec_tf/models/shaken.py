"""Small models whose weights lie far from their initial values, and their inputs."""

import keras
import numpy as np

NUM_ITEMS, NUM_USERS = 12, 4

ITEM_IDS = np.array(
    [[0, 0, 0, 0, 0, 7], [0, 0, 3, 1, 2, 9], [4, 5, 6, 4, 8, 12]], np.int32
)
BATCH = {
    "item_ids": ITEM_IDS,
    "target_ids": np.array([[8], [9], [1]], np.int32),
    "user_index": np.array([0, 3, 1], np.int32),
}


def shaken(model_class, **settings):
    """A model of the class, every trainable weight drawn from N(0, 0.5)."""
    keras.utils.set_random_seed(4)
    chosen = model_class.Settings(**{"dim": 4, "max_length": 6, **settings})
    model = model_class.of_sizes(chosen, NUM_ITEMS, NUM_USERS)
    users = np.array([f"user {n}".encode() for n in range(NUM_USERS)], object)
    model.register_users(users)
    generator = np.random.default_rng(2)
    for weight in model.trainable_weights:
        weight.assign(generator.normal(0, 0.5, weight.shape))
    return model


def table(layer):
    """Rows of an embedding table by number, float64; row 0 is zero."""
    rows = np.asarray(layer.table, np.float64)
    return np.concatenate([np.zeros((1, rows.shape[1])), rows])


def weight(variable):
    return np.asarray(variable, np.float64)


def sigmoid(values):
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def loss_of(model, batch):
    return float(model.loss_terms(batch, model(batch, training=False))["next_item"])
