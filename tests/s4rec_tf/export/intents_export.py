"""An export of a small S4Rec, which has intents, with titles of most of its items."""

import numpy as np

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.export import write
from tests.s4rec_tf.small_runs import shaken_s4rec

NUM_ITEMS, MAX_LENGTH = 60, 8
TITLES = {f"item-{n}": f"Rosé soap no. {n}" for n in range(1, NUM_ITEMS)}


def exported(root, export_dir, version=None, **settings):
    """The model and its version's folder."""
    sequences = small_datasets.markov_sequences(40, NUM_ITEMS, seed=1)
    path = small_datasets.write_dataset(root / "dataset", sequences, NUM_ITEMS)
    model = shaken_s4rec(NUM_ITEMS, MAX_LENGTH, **settings)
    folder = write.write_version(
        model,
        spec.DatasetDir(path),
        export_dir,
        max_k=20,
        popularity=np.arange(NUM_ITEMS),
        card={},
        titles=TITLES,
        version=version,
    )
    return model, folder
