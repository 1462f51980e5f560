"""Adam in one pass over memory."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam by TensorFlow's kernel of its own: the same numbers, but one pass.

    Written out in operations, an update reads and writes the moments of the item table
    several times, which for large vocabularies takes most of a training step.
    """

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """Updates one variable in place."""
        index = self._get_variable_index(variable)
        if isinstance(variable, keras.Variable):
            variable = variable.value
        dtype = variable.dtype
        steps = tf.cast(tf.convert_to_tensor(self.iterations) + 1, dtype)
        beta_1, beta_2 = (tf.cast(b, dtype) for b in (self.beta_1, self.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(beta_1, steps),
            beta2_power=tf.pow(beta_2, steps),
            lr=tf.cast(tf.convert_to_tensor(learning_rate), dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.convert_to_tensor(gradient),
        )
