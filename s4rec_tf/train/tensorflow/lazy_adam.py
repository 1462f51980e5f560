"""Adam that leaves alone the rows of a table that a batch does not look at."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from s4rec_tf.train.tensorflow.fused_adam import FusedAdam

Tensor = Any


class LazyAdam(FusedAdam):
    """Adam whose step on a table costs what the batch's rows cost, not the table.

    Other rows keep their values and their moments, which in Adam decay and move on at
    every step. Weights whose gradient does not list rows are updated as by Adam.
    """

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """Updates one variable in place; of a table, the rows listed."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        if isinstance(variable, keras.Variable):
            variable = variable.value
        momentums = self._momentums[index].value.handle
        velocities = self._velocities[index].value.handle
        rows, places = tf.unique(gradient.indices)
        summed = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
        dtype = summed.dtype
        steps = tf.cast(tf.convert_to_tensor(self.iterations) + 1, dtype)
        beta_1, beta_2 = (tf.cast(b, dtype) for b in (self.beta_1, self.beta_2))
        rate = tf.cast(tf.convert_to_tensor(learning_rate), dtype)
        rate *= tf.sqrt(1 - tf.pow(beta_2, steps)) / (1 - tf.pow(beta_1, steps))

        def moved(moments: Tensor, towards: Tensor, beta: Tensor) -> Tensor:
            before = tf.raw_ops.ResourceGather(
                resource=moments, indices=rows, dtype=dtype
            )
            after = beta * before + (1 - beta) * towards
            tf.raw_ops.ResourceScatterUpdate(
                resource=moments, indices=rows, updates=after
            )
            return after

        momentum = moved(momentums, summed, beta_1)
        velocity = moved(velocities, tf.square(summed), beta_2)
        tf.raw_ops.ResourceScatterSub(
            resource=variable.handle,
            indices=rows,
            updates=rate * momentum / (tf.sqrt(velocity) + self.epsilon),
        )
