from pathlib import Path

import numpy as np
import pytest

from s4rec_tf import spec, testing
from s4rec_tf.export import write
from tests.s4rec_tf.export import standin

NUM_ITEMS = 60
MAX_K = 20


class Exported:
    """An exported version and what it was made of."""

    def __init__(self, root: Path) -> None:
        sequences = testing.markov_sequences(40, NUM_ITEMS, seed=1)
        path = testing.write_dataset(root / "dataset", sequences, NUM_ITEMS)
        self.dataset = spec.DatasetDir(path)
        self.table = standin.item_table(NUM_ITEMS)
        # Two items tie on every score.
        self.table[7] = self.table[3]
        self.counts = np.random.default_rng(2).integers(0, 9, NUM_ITEMS)
        self.model = standin.MeanRecommender(self.table)
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
        return standin.slow_answer(self.table, self.counts, history, set(excluded), k)


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Exported:
    return Exported(tmp_path_factory.mktemp("export"))
