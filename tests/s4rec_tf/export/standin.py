"""A small Keras 3 model with the export's protocol, and an export of it."""

from pathlib import Path

import keras
import numpy as np
from keras import ops

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.export import write

MAX_LENGTH = 8
WIDTH = 4
NUM_ITEMS = 60
MAX_K = 20


class MeanRecommender(keras.Model):
    """User vector = mean of the items' vectors, later positions weighing more."""

    has_user_embeddings = False
    cold_start_policy = ""
    is_dot_product = True
    has_intents = False

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
    """The right answers, in float64 and without a graph; history is item ids."""
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


class Exported:
    """An exported version and what it was made of."""

    def __init__(self, root: Path) -> None:
        sequences = small_datasets.markov_sequences(40, NUM_ITEMS, seed=1)
        path = small_datasets.write_dataset(root / "dataset", sequences, NUM_ITEMS)
        self.dataset = spec.DatasetDir(path)
        self.table = item_table(NUM_ITEMS)
        # Two items tie on every score.
        self.table[7] = self.table[3]
        self.counts = np.random.default_rng(2).integers(0, 9, NUM_ITEMS)
        self.model = MeanRecommender(self.table)
        self.export_dir = root / "models" / "demo"
        self.version = write.write_version(
            self.model,
            self.dataset,
            self.export_dir,
            max_k=MAX_K,
            popularity=self.counts,
            card={"Settings": {"model": "mean"}},
        )

    def expected(self, history, excluded=(), k=MAX_K):
        """Item ids and scores, see `slow_answer`."""
        return slow_answer(self.table, self.counts, history, set(excluded), k)


_EXPORTS: list[Exported] = []


def export_once(factory) -> Exported:
    """One export for the whole session, given its `tmp_path_factory`; read only."""
    if not _EXPORTS:
        _EXPORTS.append(Exported(factory.mktemp("export")))
    return _EXPORTS[0]
