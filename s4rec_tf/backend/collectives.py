"""Sums and concatenations over the replicas that share a global batch.

On another backend than TensorFlow there is one replica.
"""

from __future__ import annotations

from typing import Any

from s4rec_tf.backend.compile import IS_TENSORFLOW

Tensor = Any


def _replica_context() -> Any:
    import tensorflow as tf

    return tf.distribute.get_replica_context()


def num_replicas() -> int:
    """Number of replicas that share the global batch; 1 outside a strategy."""
    if not IS_TENSORFLOW:
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def gather_batch(tensor: Tensor) -> Tensor:
    """Concatenates a per-replica tensor over the replicas; differentiable.

    Args:
        tensor: [B / R, ...] on each of R replicas.

    Returns:
        [B, ...], the same on every replica, rows in order of replica.
    """
    if num_replicas() == 1:
        return tensor
    context = _replica_context()
    # None while Keras builds symbolically: only shapes matter then.
    if context is None:
        return tensor
    import tensorflow as tf

    # A sum of disjoint parts: `all_gather` fails under MultiWorkerMirroredStrategy,
    # where a tensor of the graph names no device.
    batch_size = tf.shape(tensor)[0]
    start = first_row(batch_size)
    after = context.num_replicas_in_sync * batch_size - start - batch_size
    rest = [[0, 0]] * (len(tensor.shape) - 1)
    apart = tf.pad(tensor, [[start, after], *rest])
    gathered = context.all_reduce(tf.distribute.ReduceOp.SUM, apart)
    gathered.set_shape([None, *tensor.shape[1:]])
    return gathered


def own_rows(gathered: Tensor, batch_size: Tensor) -> Tensor:
    """The rows of a gathered tensor that this replica brought.

    Args:
        gathered: [B, ...] as returned by `gather_batch`.
        batch_size: B / R, rows of this replica.
    """
    start = first_row(batch_size)
    return gathered[start : start + batch_size]


def first_row(batch_size: Tensor) -> Tensor:
    """Index in the global batch of this replica's first row."""
    context = _replica_context() if num_replicas() > 1 else None
    return 0 if context is None else context.replica_id_in_sync_group * batch_size
