"""All models of a server: what a models.config lists, changed while it serves."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grpc import StatusCode

from serving import limits
from serving.status import StatusError, invalid_argument
from serving.versions.manager import VersionManager, versions_on_disk
from serving.versions.states import Policy

log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.1

NewManager = Callable[[str, Path], VersionManager]


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One model of a configuration.

    Attributes:
        name: the name that requests must use.
        base_path: BASE/NAME.
        policy: which versions are wanted.
        labels: versions by label.
    """

    name: str
    base_path: Path
    policy: Policy = dataclasses.field(default_factory=Policy)
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def entries_of(config: Any) -> list[ModelEntry]:
    """The models of a `ModelServerConfig`.

    Raises:
        StatusError: INVALID_ARGUMENT if it cannot be served.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid_argument("only a model_config_list can be served")
    entries = [_entry(model) for model in config.model_config_list.config]
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise invalid_argument(f"Illegal to list model {name} multiple times")
    return entries


def _entry(model: Any) -> ModelEntry:
    if not model.name or not model.base_path:
        raise invalid_argument(
            "a model needs a name and a base_path. "
            f"Received: {model.name!r}, {model.base_path!r}"
        )
    if model.model_platform not in ("", "tensorflow"):
        raise invalid_argument(
            f"model {model.name}: model_platform must be tensorflow. "
            f"Received: {model.model_platform}"
        )
    policy = Policy()
    kind = model.model_version_policy.WhichOneof("policy_choice")
    if kind == "all":
        policy = Policy(newest=None)
    elif kind == "specific":
        numbers = frozenset(model.model_version_policy.specific.versions)
        if not numbers:
            raise invalid_argument(f"model {model.name}: no specific version is named")
        policy = Policy(newest=None, only=numbers)
    elif kind == "latest":
        policy = Policy(newest=model.model_version_policy.latest.num_versions or 1)
    return ModelEntry(
        model.name, Path(model.base_path), policy, dict(model.version_labels)
    )


class Models:
    """The models that are served, by name."""

    def __init__(self, new_manager: NewManager) -> None:
        """Takes what makes the versions of a name and a base path; serves nothing."""
        self._new_manager = new_manager
        self._managers: dict[str, VersionManager] = {}
        self._changing = threading.Lock()

    def names(self) -> list[str]:
        """The models' names in order."""
        return sorted(self._managers)

    def find(self, name: str) -> VersionManager | None:
        """The versions of a model; None if there is no such model."""
        return self._managers.get(name)

    def stop(self) -> None:
        """Retires everything."""
        with self._changing:
            for manager in self._managers.values():
                manager.stop()

    def replace(
        self,
        entries: Sequence[ModelEntry],
        stop: threading.Event,
        seconds: float | None = None,
    ) -> None:
        """Serves these models and no others, and waits until each answers.

        Models that stay keep what is loaded. Where one of the new ones cannot be
        served the others are, and the error names it.

        Args:
            entries: all models.
            stop: ends the wait.
            seconds: for the whole wait; None for any time.

        Raises:
            NoBasePath: if a base path is missing; nothing has changed then.
            StatusError: UNAVAILABLE if nothing of a model can be loaded,
                DEADLINE_EXCEEDED if nothing is loaded in time, FAILED_PRECONDITION if a
                label stands for a version that is not available; all else has changed
                then.
        """
        for entry in entries:
            versions_on_disk(entry.base_path)
        with self._changing:
            before, managers = self._managers, {}
            for entry in entries:
                managers[entry.name] = self._prepared(entry, before.get(entry.name))
            self._managers = managers
            for name, manager in before.items():
                if managers.get(name) is not manager:
                    manager.stop()
            deadline = math.inf if seconds is None else time.monotonic() + seconds
            errors = [
                _settle(managers[entry.name], entry, stop, deadline)
                for entry in entries
            ]
        for error in filter(None, errors):
            raise error

    def _prepared(
        self, entry: ModelEntry, old: VersionManager | None
    ) -> VersionManager:
        if old is not None and old.base_path == entry.base_path:
            old.policy = entry.policy
            old.poll()
            return old
        manager = self._new_manager(entry.name, entry.base_path)
        manager.policy = entry.policy
        manager.poll()
        manager.start()
        return manager


def _settle(
    manager: VersionManager, entry: ModelEntry, stop: threading.Event, deadline: float
) -> StatusError | None:
    """Waits for a version and sets the labels; the error of what is wrong."""
    try:
        _wait_until_available(manager, stop, deadline)
        _set_labels(manager, entry.labels)
    except StatusError as error:
        return error
    return None


def _wait_until_available(
    manager: VersionManager, stop: threading.Event, deadline: float
) -> None:
    while manager.serving_version is None and not stop.is_set():
        reason = manager.terminal_failure()
        if reason:
            raise StatusError(
                StatusCode.UNAVAILABLE,
                f"no version of {manager.model_name} can be loaded: {reason}",
            )
        if time.monotonic() > deadline:
            raise StatusError(
                StatusCode.DEADLINE_EXCEEDED,
                f"no version of {manager.model_name} is available yet under "
                f"{manager.base_path}: it is served when one is",
            )
        stop.wait(_WAIT_SECONDS)


def _set_labels(manager: VersionManager, labels: Mapping[str, int]) -> None:
    available = manager.available()
    for label, version in labels.items():
        if version not in available:
            raise StatusError(
                StatusCode.FAILED_PRECONDITION,
                f"Request to assign label {label} to version {version} of model "
                f"{manager.model_name}, which is not currently available for inference",
            )
    manager.labels = dict(labels)


class ConfigFile:
    """A models.config that is read again and again."""

    def __init__(self, models: Models, path: Path, seconds: float) -> None:
        """Takes what is changed, the file, and the pause between two looks."""
        self._models = models
        self._path = path
        self._seconds = seconds
        self._content = path.read_bytes()

    def watch(self, stop: threading.Event) -> None:
        """Looks until told to stop; an error is logged and changes nothing."""
        from serving import config_files

        while not stop.wait(self._seconds):
            try:
                content = self._path.read_bytes()
                if content == self._content:
                    continue
                self._content = content
                config = config_files.parse_models(content.decode("utf-8"), self._path)
                seconds = limits.RELOAD_SECONDS
                self._models.replace(entries_of(config), stop, seconds)
                log.info("%s was read again: %s", self._path, self._models.names())
            except (OSError, UnicodeDecodeError, StatusError) as error:
                log.error("%s: %s", self._path, error)
