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
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from grpc import StatusCode

from serving import metrics
from serving.status import StatusError
from serving.versions.states import Failure, Policy, State, Status

if TYPE_CHECKING:
    from serving.servables.servable import Servable

log = logging.getLogger(__name__)


class NoBasePath(Exception):
    """The base path does not exist."""


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
    return {
        int(entry.name): entry
        for entry in entries
        if entry.name.isascii() and entry.name.isdigit() and len(entry.name) < 20
    }


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
            poll_seconds: pause between two looks at the base path.
            max_retries: further loads of a version after a failed one.
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

    def hopeless(self) -> str | None:
        """Why nothing is or will be served without new files; None otherwise."""
        if self._served or not self._failures:
            return None
        if any(
            failure.loads <= self._max_retries for failure in self._failures.values()
        ):
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
            self._warn(f"No versions of {self.model_name} found under {self.base_path}")
        policy = self.policy
        kept: set[int] = set()
        for version in sorted(on_disk, reverse=True):
            if policy.newest is not None and len(kept) >= policy.newest:
                break
            if policy.only is not None and version not in policy.only:
                continue
            if version in self._served or (
                self._may_load(version, on_disk[version])
                and self._try_load(version, on_disk[version])
            ):
                kept.add(version)
        # Rather an unwanted version than none.
        if kept:
            self._retire_all_but(kept)

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_seconds):
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

    def _may_load(self, version: int, path: Path) -> bool:
        failure = self._failures.get(version)
        if failure is None or failure.identity != _identity(path):
            return True
        return (
            failure.loads <= self._max_retries and time.monotonic() >= failure.retry_at
        )

    def _try_load(self, version: int, path: Path) -> bool:
        identity = _identity(path)
        self._set(version, Status(State.LOADING))
        log.info("loading version %d of %s", version, self.model_name)
        try:
            servable = self._load(path)
        except StatusError as error:
            metrics.LOAD_ATTEMPTS.add(str(path), "fail")
            self._note_failure(version, identity, error)
            return False
        metrics.LOAD_ATTEMPTS.add(str(path), "success")
        self._warned = ""
        self._failures.pop(version, None)
        with self._lock:
            self._served = {**self._served, version: servable}
            self._statuses[version] = Status(State.AVAILABLE)
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
        self, version: int, identity: tuple[int, int], error: StatusError
    ) -> None:
        before = self._failures.get(version)
        loads = 1 + (before.loads if before and before.identity == identity else 0)
        retry_at = time.monotonic() + self._retry_seconds
        self._failures[version] = Failure(identity, loads, retry_at)
        self._set(version, Status(State.END, error.code, error.message))
        metrics.REJECTED.add(self.model_name, str(version), error.code.name)
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


def _identity(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_ino, stat.st_mtime_ns)
