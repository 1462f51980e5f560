"""Item vectors for TensorBoard's embedding projector, with ids and titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

from s4rec_tf.atomic_files import replaced, write_bytes

_VECTORS, _ITEMS = "vectors.tsv", "items.tsv"


def write_projector(
    folder: Path,
    vectors: np.ndarray,
    raw_ids: Sequence[str],
    titles: Mapping[str, str] | None = None,
) -> None:
    """Writes what the projector reads; the configuration comes last.

    Args:
        folder: below TensorBoard's; created if missing.
        vectors: [V, d].
        raw_ids: of the V items.
        titles: by raw id; items without one are shown by their id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(folder / _VECTORS) as stream:
        np.savetxt(stream, vectors, fmt="%.6g", delimiter="\t")
    known = titles or {}
    rows = [("item", "title"), *((one, known.get(one, one)) for one in raw_ids)]
    lines = ["\t".join(" ".join(cell.split()) for cell in row) for row in rows]
    write_bytes(folder / _ITEMS, "".join(f"{line}\n" for line in lines).encode())
    config = projector.ProjectorConfig()
    config.embeddings.add(
        tensor_name="items", tensor_path=_VECTORS, metadata_path=_ITEMS
    )
    # TensorBoard looks in folders that hold a file of events.
    if not list(folder.glob("events.*")):
        tf.summary.create_file_writer(str(folder)).close()
    projector.visualize_embeddings(str(folder), config)
