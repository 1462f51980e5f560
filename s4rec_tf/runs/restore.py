"""Models of a run: a new one, and that of its best epoch."""

from __future__ import annotations

from pathlib import Path

from s4rec_tf import spec
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.registry import model_class
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.config import ExperimentConfig
from s4rec_tf.runs.run_dir import RunDir


def build_model(
    config: ExperimentConfig, info: spec.DatasetInfo
) -> SequenceRecommender:
    """A new model with every weight created."""
    return model_class(config.model).of_sizes(
        config.model_settings, info.num_items, info.split_examples["train"]
    )


def restore_best(
    run_dir: Path, dataset: spec.DatasetDir
) -> tuple[SequenceRecommender, RunDir]:
    """Restores the model of a run's best epoch.

    Args:
        run_dir: the run folder.
        dataset: dataset folder of the run.

    Returns:
        the model with the weights of `checkpoints/best.npz`, and the run's paths.

    Raises:
        RunError: if the folder is no run or the dataset is another.
        checkpoints.CheckpointError: if the run has no whole checkpoint yet.
    """
    run = RunDir(run_dir)
    config = run.read_config()
    run.check_dataset(dataset.fingerprint())
    model = build_model(config, dataset.info())
    checkpoints.read_checkpoint(run.best, model.weights)
    return model, run
