"""Training on JAX, from arrays and without TensorFlow."""
