"""All models of a server, which a file or a call may replace while it serves."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, Literal

from grpc import StatusCode

from serving import config_files, limits
from serving.status import StatusError, invalid
from serving.versions.manager import VersionManager, versions_on_disk
from serving.versions.states import Policy

log = logging.getLogger(__name__)

Labels = Literal["available", "new", "any"]
"""Labels of versions that are not available: none, those not in use, any."""


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One model of a configuration: its name, BASE/NAME, its versions and labels."""

    name: str
    base_path: Path
    policy: Policy = dataclasses.field(default_factory=Policy)
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def entries_of(config: Any) -> list[ModelEntry]:
    """The models of a `ModelServerConfig`."""
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("only a model_config_list can be served")
    entries = [_entry(model) for model in config.model_config_list.config]
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Illegal to list model {name} multiple times")
    return entries


def _entry(model: Any) -> ModelEntry:
    if not model.name or not model.base_path:
        given = f"Received: {model.name!r}, {model.base_path!r}"
        raise invalid(f"a model needs a name and a base_path. {given}")
    if model.model_platform not in ("", "tensorflow"):
        raise invalid(
            f"model {model.name}: model_platform must be tensorflow. "
            f"Received: {model.model_platform}"
        )
    wanted = model.model_version_policy
    policy = Policy(newest=wanted.latest.num_versions or 1)
    if wanted.HasField("all"):
        policy = Policy(newest=None)
    elif wanted.HasField("specific"):
        policy = Policy(newest=None, only=frozenset(wanted.specific.versions))
        if not policy.only:
            raise invalid(f"model {model.name}: no specific version is named")
    labels = dict(model.version_labels)
    return ModelEntry(model.name, Path(model.base_path), policy, labels)


class Models:
    """The models that are served, by name; `stop` ends all waiting."""

    def __init__(
        self,
        new_manager: Callable[[str, Path], VersionManager],
        stop: threading.Event,
        labels: Labels = "available",
    ) -> None:
        self._new_manager, self._stop, self._labels = new_manager, stop, labels
        self._managers: dict[str, VersionManager] = {}
        self._changing = threading.Lock()
        # A reload waits for versions: it must not take a thread from other calls.
        self._reloading = futures.ThreadPoolExecutor(1, "reload")

    def serving_versions(self) -> dict[str, int | None]:
        """The newest version of each model that answers, by the model's name."""
        found = sorted(self._managers.items())
        return {name: manager.serving_version for name, manager in found}

    def find(self, name: str) -> VersionManager | None:
        """The versions of a model; None if there is no such model."""
        return self._managers.get(name)

    def stop(self) -> None:
        """Retires everything and cancels the reloads that have not begun."""
        self._reloading.shutdown(wait=False, cancel_futures=True)
        with self._changing:
            for manager in self._managers.values():
                manager.stop()

    def replace(self, entries: Sequence[ModelEntry], seconds: float = math.inf) -> None:
        """Serves these models and no others, and waits until each answers.

        Models that stay keep their versions. A missing base path changes nothing. If a
        model cannot be served or labelled the others are, and the error names it.
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
            deadline, errors = time.monotonic() + seconds, []
            for entry in entries:
                try:
                    self._wait_until_available(managers[entry.name], deadline)
                    self._set_labels(managers[entry.name], entry.labels)
                except StatusError as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    async def reload(self, config: Any, roots: Sequence[Path]) -> None:
        """Replaces the models by a config's, whose base paths must lie below roots."""
        entries, seconds = entries_of(config), limits.RELOAD_SECONDS
        for entry in entries:
            path = entry.base_path.resolve()
            if not any(path.is_relative_to(root.resolve()) for root in roots):
                raise invalid(
                    f"model {entry.name}: a base path must lie below "
                    f"{', '.join(map(str, roots))} (--reload_root). "
                    f"Received: {entry.base_path}"
                )
        work = self._reloading.submit(self.replace, entries, seconds)
        try:
            async with asyncio.timeout(seconds + 1):
                await asyncio.wrap_future(work)
        except TimeoutError as error:
            text = f"not served after {seconds:g} s, it goes on: see GetModelStatus"
            raise StatusError(StatusCode.DEADLINE_EXCEEDED, text) from error

    def watch(self, path: Path, seconds: float) -> None:
        """Serves a models.config again when it changes; an error changes nothing."""
        before = path.read_bytes() if path.is_file() else b""
        while not self._stop.wait(seconds):
            try:
                content = path.read_bytes()
                if content != before:
                    before = content
                    config = config_files.read_models(path, content.decode("utf-8"))
                    self.replace(entries_of(config), limits.RELOAD_SECONDS)
                    log.info("%s was read again: %s", path, self.serving_versions())
            except (OSError, UnicodeDecodeError, StatusError) as error:
                log.error("%s: %s", path, error)

    def _prepared(
        self, entry: ModelEntry, manager: VersionManager | None
    ) -> VersionManager:
        is_kept = manager is not None and manager.base_path == entry.base_path
        if manager is None or not is_kept:
            manager = self._new_manager(entry.name, entry.base_path)
        manager.policy = entry.policy
        manager.poll()
        if not is_kept:
            manager.start()
        return manager

    def _wait_until_available(self, manager: VersionManager, deadline: float) -> None:
        while manager.serving_version is None and not self._stop.is_set():
            if reason := manager.terminal_failure():
                text = f"no version of {manager.model_name} can be loaded: {reason}"
                raise StatusError(StatusCode.UNAVAILABLE, text)
            if time.monotonic() > deadline:
                raise StatusError(
                    StatusCode.DEADLINE_EXCEEDED,
                    f"no version of {manager.model_name} is available yet under "
                    f"{manager.base_path}: it is served when one is",
                )
            self._stop.wait(0.1)

    def _set_labels(self, manager: VersionManager, labels: Mapping[str, int]) -> None:
        available = manager.available()
        for label, version in labels.items():
            is_new = self._labels == "new" and label not in manager.labels
            if version not in available and not is_new and self._labels != "any":
                raise StatusError(
                    StatusCode.FAILED_PRECONDITION,
                    f"Request to assign label {label} to version {version} of model "
                    f"{manager.model_name}, which is not currently available for "
                    "inference",
                )
        manager.labels = dict(labels)
