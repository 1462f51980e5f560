"""From a dataset folder to the batches that a model trains on."""
