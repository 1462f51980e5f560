"""An export to serve: the architecture and sizes of a real one, weights untrained.

`python -m benchmarks.serving_export FOLDER NUM_ITEMS MAX_K`, a process of its own since
it loads TensorFlow and Keras. Times do not depend on the weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

NAME = "bench"
_USERS = 500


def write_export(
    folder: Path, num_items: int, max_k: int = 100, index: str = "grouped"
) -> Path:
    """Exports a SASRec of the default sizes over a generated dataset.

    Args:
        folder: gets `dataset/` and `models/bench/1`.
        num_items: V; raw ids are `item-1` to `item-V`.
        max_k: items of an answer.
        index: kind of the index.

    Returns:
        The folder with the model's versions.
    """
    from benchmarks import small_datasets
    from s4rec_tf import spec
    from s4rec_tf.export import write
    from s4rec_tf.retrieval.kinds import IndexKind
    from s4rec_tf.runs import config, restore

    sequences = small_datasets.markov_sequences(_USERS, num_items)
    # An item without an action is retired, and would not be answered.
    sequences += [list(part) for part in _parts(num_items)]
    path = small_datasets.write_dataset(folder / "dataset", sequences, num_items)
    dataset = spec.DatasetDir(path)
    settings = config.resolve("sasrec")
    export_dir = folder / "models" / NAME
    write.write_version(
        restore.build_model(settings, dataset.info()),
        dataset,
        export_dir,
        max_k=max_k,
        popularity=np.arange(num_items),
        card={},
        index=IndexKind(index),
    )
    return export_dir


def _parts(num_items: int) -> list[range]:
    starts = range(1, num_items + 1, 10)
    return [range(start, min(start + 10, num_items + 1)) for start in starts]


if __name__ == "__main__":
    write_export(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
