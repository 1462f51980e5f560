"""S4Rec on TensorFlow: models, training, evaluation and export.

The names of `__all__` are the package's face, loaded when they are first used:
importing the package imports neither TensorFlow nor Keras, so that Beam workers, the
server and `--help` stay light.

    dataset = s4rec_tf.DatasetDir(Path("data/beauty"))
    config = s4rec_tf.resolve_config("s4rec", "s4rec_beauty")
    s4rec_tf.train_model(config, dataset, Path("runs/beauty"))
    model, run = s4rec_tf.restore_best(Path("runs/beauty"), dataset)
    found = s4rec_tf.evaluate_model(model, s4rec_tf.read_split(dataset, "test"))
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from s4rec_tf.version import __version__

if TYPE_CHECKING:
    from s4rec_tf.data.records import read_split
    from s4rec_tf.data.sequences import Sequences
    from s4rec_tf.evaluate.evaluation import Evaluation, evaluate_model
    from s4rec_tf.export.protocol import ExportError
    from s4rec_tf.export.write import write_version as export_model
    from s4rec_tf.models.base import ModelSettings, SequenceRecommender
    from s4rec_tf.models.registry import model_class
    from s4rec_tf.runs.config import ConfigError, ExperimentConfig
    from s4rec_tf.runs.config import resolve as resolve_config
    from s4rec_tf.runs.restore import restore_best
    from s4rec_tf.runs.run_dir import RunDir, RunError
    from s4rec_tf.spec import DatasetDir, DatasetError, DatasetInfo
    from s4rec_tf.train.tensorflow.refit import refit as refit_model
    from s4rec_tf.train.tensorflow.trainer import train as train_model

__all__ = [
    "ConfigError",
    "DatasetDir",
    "DatasetError",
    "DatasetInfo",
    "Evaluation",
    "ExperimentConfig",
    "ExportError",
    "ModelSettings",
    "RunDir",
    "RunError",
    "SequenceRecommender",
    "Sequences",
    "__version__",
    "evaluate_model",
    "export_model",
    "model_class",
    "read_split",
    "refit_model",
    "resolve_config",
    "restore_best",
    "train_model",
]

_HOMES = {
    "ConfigError": "runs.config.ConfigError",
    "DatasetDir": "spec.DatasetDir",
    "DatasetError": "spec.DatasetError",
    "DatasetInfo": "spec.DatasetInfo",
    "Evaluation": "evaluate.evaluation.Evaluation",
    "ExperimentConfig": "runs.config.ExperimentConfig",
    "ExportError": "export.protocol.ExportError",
    "ModelSettings": "models.base.ModelSettings",
    "RunDir": "runs.run_dir.RunDir",
    "RunError": "runs.run_dir.RunError",
    "SequenceRecommender": "models.base.SequenceRecommender",
    "Sequences": "data.sequences.Sequences",
    "evaluate_model": "evaluate.evaluation.evaluate_model",
    "export_model": "export.write.write_version",
    "model_class": "models.registry.model_class",
    "read_split": "data.records.read_split",
    "refit_model": "train.tensorflow.refit.refit",
    "resolve_config": "runs.config.resolve",
    "restore_best": "runs.restore.restore_best",
    "train_model": "train.tensorflow.trainer.train",
}

# tensorflow-recommenders refuses Keras 3 unless this is set before TensorFlow loads.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def __getattr__(name: str) -> Any:
    """Loads a name of the face."""
    if name not in _HOMES:
        raise AttributeError(f"module 's4rec_tf' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].rpartition(".")
    return getattr(importlib.import_module(f"s4rec_tf.{module}"), attribute)


def __dir__() -> list[str]:
    """The names of the face."""
    return __all__
