"""All that differs between Keras backends; everything else is `keras.ops`."""

from s4rec_tf.backend import random
from s4rec_tf.backend.collectives import (
    first_row,
    gather_batch,
    num_replicas,
    own_rows,
)
from s4rec_tf.backend.compile import IS_TENSORFLOW, compiled, compiled_layer
from s4rec_tf.backend.ops import (
    gather_rows,
    l2_normalize,
    product,
    rows_with_target,
    split_rows,
    split_sizes,
    trim_padding,
)

__all__ = [
    "IS_TENSORFLOW",
    "compiled",
    "compiled_layer",
    "first_row",
    "gather_batch",
    "gather_rows",
    "l2_normalize",
    "num_replicas",
    "own_rows",
    "product",
    "random",
    "rows_with_target",
    "split_rows",
    "split_sizes",
    "trim_padding",
]
