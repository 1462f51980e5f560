"""Which version is served: watches the base path, loads the new before the old goes.

The newest version on disk is served. One that cannot be loaded is tried again a bounded
number of times while the one before it keeps answering; a folder that is replaced
counts as new. Going back is deleting the newest folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from serving.contract import Code, StatusError

if TYPE_CHECKING:
    from serving.servable import Servable

log = logging.getLogger(__name__)


class State(enum.IntEnum):
    """States of a version, numbered as in TF Serving's GetModelStatus."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True)
class Status:
    """Where a version stands and, after a failed load, why."""

    state: State
    code: Code = Code.OK
    message: str = ""


@dataclasses.dataclass
class _Failure:
    """Failed loads of one folder; another inode or time is another folder."""

    identity: tuple[int, int]
    loads: int
    retry_at: float


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
    """Serves the newest good version of one model.

    Attributes:
        model_name: the name that requests must use.
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
    ) -> None:
        """Takes the settings; nothing is read before `poll`.

        Args:
            model_name: the name that requests must use.
            base_path: BASE/NAME.
            load: makes a servable of a version's folder; raises `StatusError`.
            poll_seconds: pause between two looks at the base path.
            max_retries: further loads of a version after a failed one.
            retry_seconds: least pause between two loads of a failing version.
        """
        self.model_name = model_name
        self._base_path = base_path
        self._poll_seconds = poll_seconds
        self._max_retries = max_retries
        self._retry_seconds = retry_seconds
        self._load = load
        self._lock = threading.Lock()
        self._current: Servable | None = None
        self._statuses: dict[int, Status] = {}
        self._failures: dict[int, _Failure] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="versions", daemon=True
        )
        self._warned = ""

    @property
    def serving_version(self) -> int | None:
        """The version that answers; None before the first is loaded."""
        current = self._current
        return current.version if current else None

    def start(self) -> None:
        """Looks at the base path from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stops looking and retires the version that is served."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            current, self._current = self._current, None
        if current:
            current.retire()

    def poll(self) -> None:
        """One look: loads the newest version that is neither served nor given up.

        Raises:
            NoBasePath: if the base path is missing; what is served stays.
        """
        on_disk = versions_on_disk(self._base_path)
        if not on_disk:
            self._warn(
                f"No versions of {self.model_name} found under {self._base_path}"
            )
        for version in sorted(on_disk, reverse=True):
            if version == self.serving_version:
                return
            if self._may_load(version, on_disk[version]) and self._try_load(
                version, on_disk[version]
            ):
                return

    def hopeless(self) -> str | None:
        """Why nothing is or will be served without new files; None otherwise."""
        if self._current or not self._failures:
            return None
        if any(
            failure.loads <= self._max_retries for failure in self._failures.values()
        ):
            return None
        version = max(self._failures)
        return f"version {version}: {self._statuses[version].message}"

    @contextlib.contextmanager
    def lease(self, version: int | None = None) -> Iterator[Servable]:
        """The version that answers, kept loaded for the length of the block.

        Args:
            version: a certain one; the newest that is available by default.

        Raises:
            StatusError: NOT_FOUND if it is not available.
        """
        servable = self._acquire(version)
        try:
            yield servable
        finally:
            servable.release()

    def statuses(self) -> dict[int, Status]:
        """Status of every version ever seen, by number."""
        with self._lock:
            return dict(sorted(self._statuses.items()))

    def _acquire(self, version: int | None) -> Servable:
        with self._lock:
            servable = self._current
            known = servable is not None and version in (None, servable.version)
            if known and servable is not None and servable.acquire():
                return servable
        kind = "Latest" if version is None else "Specific"
        suffix = "" if version is None else f", {version}"
        raise StatusError(
            Code.NOT_FOUND,
            f"Servable not found for request: {kind}({self.model_name}{suffix})",
        )

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self.poll()
            except NoBasePath as error:
                self._warn(str(error))
            except Exception:
                # The watch must outlive whatever a file system can do.
                log.exception("looking for versions under %s failed", self._base_path)

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
            self._note_failure(version, identity, error)
            return False
        self._warned = ""
        self._failures.pop(version, None)
        with self._lock:
            old, self._current = self._current, servable
            self._statuses[version] = Status(State.AVAILABLE)
            if old:
                self._statuses[old.version] = Status(State.END)
        if old:
            old.retire()
        log.info("version %d of %s is available", version, self.model_name)
        return True

    def _note_failure(
        self, version: int, identity: tuple[int, int], error: StatusError
    ) -> None:
        before = self._failures.get(version)
        loads = 1 + (before.loads if before and before.identity == identity else 0)
        retry_at = time.monotonic() + self._retry_seconds
        self._failures[version] = _Failure(identity, loads, retry_at)
        self._set(version, Status(State.END, error.code, error.message))
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


def _identity(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_ino, stat.st_mtime_ns)
