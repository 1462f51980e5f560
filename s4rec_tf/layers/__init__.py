"""Keras layers; the same mathematics on every Keras backend."""
