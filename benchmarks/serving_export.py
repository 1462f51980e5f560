"""An export to serve: the architecture and sizes of a real one, weights untrained.

`python -m benchmarks.serving_export FOLDER NUM_ITEMS MAX_K`, a process of its own since
it loads TensorFlow and Keras. Times do not depend on the weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.batch_sizes import BATCH_ROWS
from benchmarks.requests import NAME, SIGNATURE
from s4rec_tf import spec

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


def write_counting(version: Path, folder: Path) -> None:
    """Exports `recommend` with one more output: the rows of the batch it ran in.

    Args:
        version: BASE/NAME/N of an export.
        folder: gets `counting/bench/1`.
    """
    import tensorflow as tf

    module = tf.Module()
    module.export = tf.saved_model.load(str(version))
    signature = module.export.signatures[SIGNATURE]
    _, inputs = signature.structured_input_signature

    @tf.function(input_signature=[inputs[name] for name in ("history", "k", "exclude")])
    def recommend(
        history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        rows = tf.shape(history)[0]
        answer = signature(history=history, k=k, exclude=exclude)
        return {**answer, BATCH_ROWS: tf.fill([rows], rows)}

    base = folder / "counting" / NAME
    tf.saved_model.save(module, str(base / "1"), signatures={SIGNATURE: recommend})
    # Requests are joined as those of the export are.
    path = version.parent / ".meta" / version.name / spec.MANIFEST_NAME
    padding = json.loads(path.read_text("utf-8"))["padding"]
    meta = base / ".meta" / "1"
    meta.mkdir(parents=True)
    (meta / spec.MANIFEST_NAME).write_text(json.dumps({"padding": padding}), "utf-8")


def _parts(num_items: int) -> list[range]:
    starts = range(1, num_items + 1, 10)
    return [range(start, min(start + 10, num_items + 1)) for start in starts]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    base = write_export(folder, int(sys.argv[2]), int(sys.argv[3]))
    write_counting(base / "1", folder)
