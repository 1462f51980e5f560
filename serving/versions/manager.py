"""Which versions are served: watches the base path, loads the new before the old goes.

A policy says which of the versions on disk are wanted; by default it is the newest. One
that cannot be loaded is tried again a bounded number of times while the one before it
keeps answering; a folder that is replaced counts as new. Going back is deleting the
newest folder.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from grpc import StatusCode

from s4rec_tf import spec
from serving import metrics
from serving.status import StatusError
from serving.versions.states import Failure, Identity, Policy, State, Status

if TYPE_CHECKING:
    from serving.servables.servable import Servable

log = logging.getLogger(__name__)


class NoBasePath(StatusError):
    """The base path does not exist."""

    def __init__(self, message: str) -> None:
        """Takes the text."""
        super().__init__(StatusCode.INVALID_ARGUMENT, message)


def versions_on_disk(base_path: Path) -> dict[int, Path]:
    """Folders whose name is a number, by that number; `00012` is 12.

    Raises:
        NoBasePath: if the base path is missing or cannot be listed.
    """
    try:
        entries = [entry for entry in base_path.iterdir() if entry.is_dir()]
    except OSError as error:
        raise NoBasePath(
            f"Could not find base path {base_path}: {error.strerror}"
        ) from error
    numbers = {entry: spec.version_number(entry.name) for entry in entries}
    return {number: entry for entry, number in numbers.items() if number is not None}


class VersionManager:
    """Serves the wanted good versions of one model.

    Attributes:
        model_name: the name that requests must use.
        policy: which versions are wanted; may be replaced, the next look sees it.
        labels: versions by label; may be replaced.
    """

    def __init__(
        self,
        model_name: str,
        base_path: Path,
        load: Callable[[Path], Servable],
        *,
        poll_seconds: float = 1.0,
        max_retries: int = 5,
        retry_seconds: float = 60.0,
        policy: Policy | None = None,
        labels: Mapping[str, int] | None = None,
    ) -> None:
        """Takes the settings; nothing is read before `poll`.

        Args:
            model_name: the name that requests must use.
            base_path: BASE/NAME.
            load: makes a servable of a version's folder; raises `StatusError`.
            poll_seconds: pause between two looks at the base path; 0 for one look.
            max_retries: further loads of a version after a failed one; -1: any.
            retry_seconds: least pause between two loads of a failing version.
            policy: which versions are wanted; the newest by default.
            labels: versions by label.
        """
        self.model_name = model_name
        self.policy = policy or Policy()
        self.labels: Mapping[str, int] = labels or {}
        self.base_path = base_path
        self._poll_seconds = poll_seconds
        self._max_retries = max_retries
        self._retry_seconds = retry_seconds
        self._load = load
        self._lock = threading.Lock()
        # Replaced, never changed: it is read without the lock.
        self._served: dict[int, Servable] = {}
        self._polling = threading.Lock()
        self._statuses: dict[int, Status] = {}
        self._failures: dict[int, Failure] = {}
        self._identities: dict[int, Identity] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="versions", daemon=True
        )
        self._warned = ""

    @property
    def serving_version(self) -> int | None:
        """The newest version that answers; None before the first is loaded."""
        return max(self._served, default=None)

    def start(self) -> None:
        """Looks at the base path from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stops looking and retires the versions that are served."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._retire_all_but(set())

    def poll(self) -> None:
        """One look: loads the wanted versions that are neither served nor given up.

        Raises:
            NoBasePath: if the base path is missing; what is served stays.
        """
        with self._polling:
            self._poll()

    def terminal_failure(self) -> str | None:
        """Why nothing is or will be served without new files; None otherwise."""
        if self._served or not self._failures:
            return None
        if any(self._is_left_to_try(failure) for failure in self._failures.values()):
            return None
        version = max(self._failures)
        return f"version {version}: {self._statuses[version].message}"

    def lease(
        self, version: int | None = None
    ) -> contextlib.AbstractContextManager[Servable]:
        """A version that answers, kept loaded for the length of the block.

        Args:
            version: a certain one; the newest that is available by default.

        Raises:
            StatusError: NOT_FOUND, as the block begins, if it is not available.
        """
        return _Lease(self, version)

    def labelled(self, label: str) -> int:
        """The version that a label stands for.

        Raises:
            StatusError: INVALID_ARGUMENT if it is not known.
        """
        if label not in self.labels:
            raise StatusError(
                StatusCode.INVALID_ARGUMENT,
                f"Unrecognized servable version label: {label}",
            )
        return self.labels[label]

    def available(self) -> set[int]:
        """The versions that answer."""
        return set(self._served)

    def statuses(self) -> dict[int, Status]:
        """Status of every version ever seen, by number."""
        with self._lock:
            return dict(sorted(self._statuses.items()))

    def acquire(self, version: int | None) -> Servable:
        """A version as of `lease`, until it is released.

        Raises:
            StatusError: as `lease`.
        """
        with self._lock:
            wanted = self.serving_version if version is None else version
            servable = self._served.get(wanted) if wanted is not None else None
            if servable is not None and servable.acquire():
                return servable
        kind = "Latest" if version is None else "Specific"
        suffix = "" if version is None else f", {version}"
        raise StatusError(
            StatusCode.NOT_FOUND,
            f"Servable not found for request: {kind}({self.model_name}{suffix})",
        )

    def _poll(self) -> None:
        on_disk = versions_on_disk(self.base_path)
        if not on_disk:
            self._warn(_no_versions(self.model_name, self.base_path))
        policy = self.policy
        kept: set[int] = set()
        for version in sorted(on_disk, reverse=True):
            if policy.newest is not None and len(kept) >= policy.newest:
                break
            if policy.only is not None and version not in policy.only:
                continue
            if self._is_current(version, on_disk[version]) or (
                self._may_load(version, on_disk[version])
                and self._try_load(version, on_disk[version])
            ):
                kept.add(version)
            elif version in self._served:
                # What was replaced by something that cannot be loaded answers on.
                kept.add(version)
        # Never unload the last version.
        if kept:
            self._retire_all_but(kept)

    def _watch(self) -> None:
        # As in TF Serving: without a pause there is but one look.
        while self._poll_seconds > 0 and not self._stop.wait(self._poll_seconds):
            try:
                self.poll()
            except NoBasePath as error:
                self._warn(str(error))
            except Exception:
                # The watch must outlive whatever a file system can do.
                log.exception("looking for versions under %s failed", self.base_path)

    def _warn(self, message: str) -> None:
        if message != self._warned:
            log.warning("%s", message)
        self._warned = message

    def _is_current(self, version: int, path: Path) -> bool:
        """Whether what is served is what lies there."""
        if version not in self._served:
            return False
        return self._identities.get(version) == _identity(path)

    def _may_load(self, version: int, path: Path) -> bool:
        failure = self._failures.get(version)
        if failure is None or failure.identity != _identity(path):
            return True
        return self._is_left_to_try(failure) and time.monotonic() >= failure.retry_at

    def _is_left_to_try(self, failure: Failure) -> bool:
        return self._max_retries < 0 or failure.loads <= self._max_retries

    def _try_load(self, version: int, path: Path) -> bool:
        identity = _identity(path)
        is_replaced = version in self._served
        if is_replaced:
            log.warning("version %d of %s was replaced", version, self.model_name)
        else:
            self._set(version, Status(State.LOADING))
        log.info("loading version %d of %s", version, self.model_name)
        try:
            servable = self._load(path)
        except StatusError as error:
            metrics.LOAD_ATTEMPTS.labels(str(path), "fail").inc()
            self._note_failure(version, identity, error)
            return False
        metrics.LOAD_ATTEMPTS.labels(str(path), "success").inc()
        self._warned = ""
        self._failures.pop(version, None)
        with self._lock:
            old = self._served.get(version)
            self._served = {**self._served, version: servable}
            self._statuses[version] = Status(State.AVAILABLE)
        self._identities[version] = identity
        if old is not None:
            old.retire()
        log.info("version %d of %s is available", version, self.model_name)
        return True

    def _retire_all_but(self, kept: set[int]) -> None:
        with self._lock:
            gone = [s for v, s in self._served.items() if v not in kept]
            self._served = {v: s for v, s in self._served.items() if v in kept}
            for servable in gone:
                self._statuses[servable.version] = Status(State.END)
        for servable in gone:
            servable.retire()
        if gone:
            # TensorFlow's graphs are cycles, of hundreds of MiB if they are let stand.
            del gone, servable
            gc.collect()

    def _note_failure(
        self, version: int, identity: Identity, error: StatusError
    ) -> None:
        before = self._failures.get(version)
        loads = 1 + (before.loads if before and before.identity == identity else 0)
        retry_at = time.monotonic() + self._retry_seconds
        self._failures[version] = Failure(identity, loads, retry_at)
        if version not in self._served:
            self._set(version, Status(State.END, error.code, error.message))
        metrics.REJECTED.labels(self.model_name, str(version), error.code.name).inc()
        log.error(
            "version %d of %s cannot be loaded (load %d of %d): %s",
            version,
            self.model_name,
            loads,
            1 + self._max_retries,
            error.message,
        )

    def _set(self, version: int, status: Status) -> None:
        with self._lock:
            self._statuses[version] = status


class _Lease(contextlib.AbstractContextManager["Servable"]):
    """A use of a version. A class, as a generator costs each request more."""

    def __init__(self, manager: VersionManager, version: int | None) -> None:
        self._manager, self._version = manager, version

    def __enter__(self) -> Servable:
        self._servable = self._manager.acquire(self._version)
        return self._servable

    def __exit__(self, *error: object) -> None:
        self._servable.release()


def _identity(path: Path) -> Identity:
    """What changes when any file of a version does."""
    found = []
    for folder, _, names in os.walk(path):
        for name in ("", *names):
            with contextlib.suppress(OSError):
                stat = os.stat(os.path.join(folder, name))
                found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


def _no_versions(model_name: str, base_path: Path) -> str:
    message = f"No versions of {model_name} found under {base_path}"
    if (base_path / "saved_model.pb").is_file():
        return (
            f"{message}, which holds a saved_model.pb itself: it must lie one level "
            f"deeper, as {base_path.name}/1/saved_model.pb"
        )
    return message
