"""Public logs by name, from their publishers' addresses; no Beam, no TensorFlow."""
