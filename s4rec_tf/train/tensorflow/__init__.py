"""Training on TensorFlow, on one device or over several."""
