"""A small Keras 3 model with the export's protocol, and a dataset folder for it."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

from s4rec_tf import spec


class MeanRecommender(keras.Model):
    """User vector = mean of the items' vectors, the later items weighing more."""

    def __init__(self, item_table: np.ndarray, max_length: int) -> None:
        super().__init__()
        self.max_length = max_length
        num_items, width = item_table.shape
        self.table = self.add_weight(
            shape=(num_items, width), initializer="zeros", name="item_table"
        )
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


def item_table(num_items: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_items, width)).astype("float32")


def write_dataset(root: Path, vocabulary: list[str]) -> spec.DatasetDir:
    """A dataset folder with a vocabulary, facts and a manifest; splits are empty."""
    root.mkdir(parents=True)
    dataset = spec.DatasetDir(root)
    text = "".join(f"{item}\n" for item in vocabulary)
    dataset.item_vocab.write_text(text, "utf-8")
    counts = "".join(f"{len(vocabulary) - i}\n" for i in range(len(vocabulary)))
    dataset.item_counts.write_text(counts, "utf-8")
    info = {
        "num_users": 10,
        "num_items": len(vocabulary),
        "num_actions": 100,
        "num_head_users": 2,
        "head_share": 0.2,
        "head_min_length": 7,
        "k_core": 5,
        "split_examples": {"train": 10, "valid": 10, "test": 10},
    }
    dataset.info_file.write_text(json.dumps({"info": info}), "utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    manifest = {"format_version": 1, "files": {"item_vocab.txt": {"sha256": digest}}}
    dataset.manifest.write_text(json.dumps(manifest), "utf-8")
    return dataset
