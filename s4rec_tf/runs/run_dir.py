"""The run folder: its paths, its manifest, and who may train in it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from s4rec_tf import spec
from s4rec_tf.atomic_files import write_json
from s4rec_tf.runs import environment, working_copy
from s4rec_tf.version import __version__

if TYPE_CHECKING:
    from s4rec_tf.runs import config as configuration

VOCABULARY = "vocabulary"
"""Key of the manifest: number of items and users, digest of the items."""

_WARM_START = "warm_start"
_ENVIRONMENT = "environment"
_logger = logging.getLogger(__name__)


class RunError(ValueError):
    """A run folder that does not fit the command."""


class Dataset(Protocol):
    """A dataset folder, or the file that its arrays were written to."""

    def fingerprint(self) -> str:
        """The identity of the content."""


@dataclasses.dataclass(frozen=True)
class RunDir:
    """Paths inside a run folder."""

    root: Path

    @property
    def config(self) -> Path:
        """`config.json`: the resolved configuration, flat."""
        return self.root / "config.json"

    @property
    def manifest(self) -> Path:
        """`MANIFEST.json`: versions, dataset fingerprint; "finished" at the end."""
        return self.root / spec.MANIFEST_NAME

    @property
    def metrics(self) -> Path:
        """`metrics.jsonl`: one line an epoch."""
        return self.root / "metrics.jsonl"

    @property
    def last(self) -> Path:
        """The newest state, after an epoch or within one, from which a run resumes."""
        return self.root / "checkpoints" / "last.npz"

    @property
    def before_last(self) -> Path:
        """The state before that, for when the newest is damaged."""
        return self.root / "checkpoints" / "before_last.npz"

    @property
    def best(self) -> Path:
        """The weights of the epoch with the best validation NDCG@20."""
        return self.root / "checkpoints" / "best.npz"

    @property
    def refit(self) -> Path:
        """The state of a refit on all data."""
        return self.root / "checkpoints" / "refit.npz"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    def is_finished(self) -> bool:
        """Whether training is finished."""
        return self.manifest.is_file() and self.read_manifest()["finished"]

    def read_manifest(self) -> dict[str, Any]:
        """The manifest.

        Raises:
            RunError: if there is none.
        """
        if not self.manifest.is_file():
            raise RunError(f"{self.root} is not a run folder: no {spec.MANIFEST_NAME}")
        manifest: dict[str, Any] = json.loads(self.manifest.read_text("utf-8"))
        return manifest

    def read_config(self) -> configuration.ExperimentConfig:
        """The configuration of the run.

        Raises:
            RunError: if there is none.
        """
        if not self.config.is_file():
            raise RunError(f"{self.root} is not a run folder: it has no config.json")
        # Imported late: it loads the models, which those who need paths need not.
        from s4rec_tf.runs import config as configuration

        return configuration.from_flat(json.loads(self.config.read_text("utf-8")))

    def begin(
        self,
        config: configuration.ExperimentConfig,
        dataset: Dataset,
        warm_start: str | None = None,
        device: str = "",
    ) -> None:
        """Starts the folder, or checks that it is of the same run.

        Args:
            config: the resolved configuration.
            dataset: what is trained on.
            warm_start: digest of the weights that the run starts from, if any.
            device: what is trained on, in words.

        Raises:
            RunError: naming every key in which the configurations differ, or that the
                dataset or the weights to start from are others.
        """
        fingerprint = dataset.fingerprint()
        self.last.parent.mkdir(parents=True, exist_ok=True)
        if self.config.is_file() and self.manifest.is_file():
            self._check_same(config, fingerprint)
            self._check_warm_start(warm_start)
            self._note_environment(device)
            self.publish()
            return
        write_json(self.config, config.flat())
        write_json(
            self.manifest,
            {
                "format_version": spec.FORMAT_VERSION,
                "code_version": __version__,
                "dataset_fingerprint": fingerprint,
                "seed": config.train.seed,
                _WARM_START: warm_start,
                **_vocabulary_of(dataset),
                _ENVIRONMENT: environment.environment(device),
                "finished": False,
            },
        )
        self.publish()

    def finish(self, outcome: dict[str, Any]) -> None:
        """Marks the run as finished."""
        manifest = {**self.read_manifest(), **outcome, "finished": True}
        write_json(self.manifest, manifest)
        self.publish()

    def publish(self) -> None:
        """Copies what has changed to the store whose run this is a copy of, if any.

        Raises:
            StoreError: if the store cannot be written.
            OtherTraining: if another training has written its state there.
        """
        working_copy.publish(self.root)

    def _check_same(
        self, config: configuration.ExperimentConfig, fingerprint: str
    ) -> None:
        # What an earlier version did not ask for had its default.
        here, asked = self.read_config().flat(), config.flat()
        differences = [
            f"{key}: {here.get(key)!r} there, {asked.get(key)!r} asked for"
            for key in sorted({*here, *asked})
            if here.get(key) != asked.get(key)
        ]
        if differences:
            raise RunError(
                f"{self.root} holds a run of another configuration: "
                + "; ".join(differences)
            )
        self.check_dataset(fingerprint)

    def _check_warm_start(self, digest: str | None) -> None:
        there = self.read_manifest().get(_WARM_START)
        if there != digest:
            raise RunError(
                f"{self.root} was started from other weights: sha256 {there} there, "
                f"{digest} asked for by `--warm_start`"
            )

    def _note_environment(self, device: str) -> None:
        """Warns that an unfinished run goes on elsewhere than it began."""
        before = self.read_manifest().get(_ENVIRONMENT)
        if before is None or self.is_finished():
            return
        if others := environment.differences(before, environment.environment(device)):
            _logger.warning(
                "%s began in another environment, and may not end bit for bit as it "
                "would have there: %s",
                self.root,
                "; ".join(others),
            )

    def check_dataset(self, fingerprint: str) -> None:
        """Checks that a dataset is the run's.

        Raises:
            RunError: with both fingerprints.
        """
        there = self.read_manifest()["dataset_fingerprint"]
        if there != fingerprint:
            raise RunError(
                f"{self.root} was trained on another dataset: fingerprint must be "
                f"{there}. Received: {fingerprint}"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second trainer out of the folder.

        Raises:
            RunError: if another process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"another process trains in {self.root}") from error
            yield


def _vocabulary_of(dataset: Dataset) -> dict[str, Any]:
    """Sizes and digest for a warm start; arrays have no raw ids."""
    if not isinstance(dataset, spec.DatasetDir):
        return {}
    info = dataset.info()
    digest = dataset.vocabulary_digest(info.num_items)
    num_users = info.split_examples["train"]
    sizes = {"num_items": info.num_items, "num_users": num_users}
    return {VOCABULARY: {**sizes, "sha256": digest}}
