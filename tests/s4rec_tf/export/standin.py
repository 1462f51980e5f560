"""A small Keras 3 model with the export's protocol."""

import keras
import numpy as np
from keras import ops

from s4rec_tf import spec

MAX_LENGTH = 8
WIDTH = 4


class MeanRecommender(keras.Model):
    """User vector = mean of the items' vectors, later positions weighing more."""

    def __init__(self, item_table: np.ndarray, max_length: int = MAX_LENGTH) -> None:
        super().__init__()
        self.max_length = max_length
        self.table = self.add_weight(shape=item_table.shape, name="item_table")
        self.table.assign(item_table)
        self.built = True

    def user_vectors(self, item_ids):
        is_real = ops.cast(item_ids != spec.PAD_ID, "float32")
        weight = is_real * (1.0 + ops.arange(self.max_length, dtype="float32"))
        vectors = ops.take(self.table, ops.maximum(item_ids - 1, 0), axis=0)
        total = ops.sum(vectors * weight[..., None], axis=1)
        return total / ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1.0)

    def item_vectors(self):
        return ops.convert_to_tensor(self.table)


def item_table(num_items: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(num_items, WIDTH)).astype("float32")


def slow_answer(
    table: np.ndarray,
    counts: np.ndarray,
    history: list[int],
    excluded: set[int],
    k: int,
) -> tuple[list[int], list[float]]:
    """What must be answered, in float64 and without a graph; history is item ids."""
    if history:
        recent = history[-MAX_LENGTH:]
        weights = np.arange(MAX_LENGTH - len(recent), MAX_LENGTH) + 1.0
        rows = table[np.asarray(recent) - 1].astype(np.float64)
        user = (rows * weights[:, None]).sum(0) / weights.sum()
        scores = table.astype(np.float64) @ user
    else:
        scores = counts.astype(np.float64)
    order = sorted(range(1, len(table) + 1), key=lambda item: (-scores[item - 1], item))
    best = [item for item in order if item not in excluded][:k]
    return best, [float(scores[item - 1]) for item in best]
