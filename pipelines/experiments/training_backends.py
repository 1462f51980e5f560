"""The two ways to train and evaluate a run: TensorFlow on folders, JAX on arrays.

Both leave the same run folder. The commands are those that one would type.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pipelines.experiments.queue_files import Run
from pipelines.processes import QUIET, exit_on_signals

if TYPE_CHECKING:
    from s4rec_tf.spec import DatasetInfo

Name = Literal["tensorflow", "jax"]
SPLITS = ("valid", "test")


@dataclasses.dataclass(frozen=True)
class Step:
    """A command of a run.

    Attributes:
        name: for progress lines.
        module: what `python -m` runs.
        arguments: what follows.
        resumes: whether it resumes after an interruption; others start anew.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    resumes: bool = False


class Backend(Protocol):
    """A way to train and evaluate runs."""

    name: Name

    def dataset(self, data: Path, name: str) -> Path:
        """The path of a dataset."""

    def fingerprint(self, dataset: Path) -> str:
        """The identity of a dataset's content.

        Raises:
            ValueError: if the dataset is not whole.
        """

    def info(self, dataset: Path) -> DatasetInfo:
        """Facts of a dataset."""

    def steps(self, run: Run, dataset: Path, run_dir: Path) -> Sequence[Step]:
        """The commands that are left to be run, in order."""


class TensorFlowBackend:
    """`s4rec_tf.train`, `.evaluate` and `.analyze` on a dataset folder."""

    name: Name = "tensorflow"

    def dataset(self, data: Path, name: str) -> Path:
        """A dataset folder of the data job."""
        return data / name

    def fingerprint(self, dataset: Path) -> str:
        """The digest of the manifest's file digests."""
        from s4rec_tf import spec

        return spec.DatasetDir(dataset).fingerprint()

    def info(self, dataset: Path) -> DatasetInfo:
        """The facts in its `dataset.json`."""
        from s4rec_tf import spec

        return spec.DatasetDir(dataset).info()

    def steps(self, run: Run, dataset: Path, run_dir: Path) -> Sequence[Step]:
        """Training, unless it is finished, rankings of both splits, and the probe."""
        place = ("--dataset", str(dataset), "--run_dir", str(run_dir))
        arguments = (*place, *_flags(run, run_dir))
        train = Step("training", "s4rec_tf.train", arguments, resumes=True)
        evaluations = [
            Step(f"ranking {split}", "s4rec_tf.evaluate", (*place, *flags))
            for split, flags in (
                ("valid", ("--split", "valid")),
                ("test", ("--split", "test", "--sampled")),
            )
        ]
        after = [*evaluations, Step("probing", "s4rec_tf.analyze", place)]
        return after if is_finished(run_dir) else [train, *after]


class JaxBackend:
    """`s4rec_tf.train_arrays` on an `.npz` file; needs no TensorFlow."""

    name: Name = "jax"

    def dataset(self, data: Path, name: str) -> Path:
        """The file written by `s4rec_tf.arrays`."""
        return data / f"{name}.npz"

    def fingerprint(self, dataset: Path) -> str:
        """The fingerprint of the dataset folder that the arrays were taken from."""
        import numpy as np

        if not dataset.is_file():
            raise ValueError(f"dataset file {dataset} does not exist")
        with np.load(dataset, allow_pickle=False) as stored:
            if "fingerprint" not in stored:
                raise ValueError(f"{dataset} holds no `fingerprint`")
            return str(stored["fingerprint"])

    def info(self, dataset: Path) -> DatasetInfo:
        """The facts of the dataset folder that the arrays were taken from."""
        from s4rec_tf.data import array_file

        return array_file.read_arrays(dataset).info

    def steps(self, run: Run, dataset: Path, run_dir: Path) -> Sequence[Step]:
        """One command, which also ranks both splits and probes at its end."""
        place = ("--arrays", str(dataset), "--run_dir", str(run_dir))
        arguments = (*place, *_flags(run, run_dir))
        return [Step("training", "s4rec_tf.train_arrays", arguments, resumes=True)]


def choose_backend(name: str) -> Backend:
    """The backend of that name; `auto` takes TensorFlow where it is installed."""
    if name == "auto":
        has_tensorflow = importlib.util.find_spec("tensorflow") is not None
        name = "tensorflow" if has_tensorflow else "jax"
    return JaxBackend() if name == "jax" else TensorFlowBackend()


def is_finished(run_dir: Path) -> bool:
    """Whether training has come to its end, by a run folder's manifest."""
    manifest = run_dir / "MANIFEST.json"
    return manifest.is_file() and json.loads(manifest.read_text("utf-8"))["finished"]


def config_copy(run: Run, run_dir: Path) -> Path:
    """The run's copy of the configuration that it was started with.

    A configuration may be edited while a queue is worked through.
    """
    return run_dir / f"{run.config}.yaml"


def _flags(run: Run, run_dir: Path) -> tuple[str, ...]:
    config = ("--config", str(config_copy(run, run_dir))) if run.config_text else ()
    return ("--model", run.model, *config, "--set", *run.overrides)


def begin(name: str) -> Backend:
    """Chooses the backend before keras is imported, and lets signals end children.

    Args:
        name: "auto", "tensorflow" or "jax".
    """
    exit_on_signals()
    backend = choose_backend(name)
    os.environ["KERAS_BACKEND"] = backend.name
    os.environ.update({name: os.environ.get(name, QUIET[name]) for name in QUIET})
    return backend
