"""The run folder: configuration, checkpoints, manifest, the model of its best epoch."""
