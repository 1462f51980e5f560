"""The versions of one model: watches the base path, loads the new before the old goes.

A policy selects among the versions on disk, by default the newest. One that cannot be
loaded is tried again a bounded number of times while its predecessor answers. A folder
that is replaced counts as new. Deleting the newest folder is the way back.
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
from serving.status import StatusError, invalid
from serving.versions.states import Policy, State, Status, Version

if TYPE_CHECKING:
    from serving.servables.servable import Servable

log = logging.getLogger(__name__)


def versions_on_disk(base_path: Path) -> dict[int, Path]:
    """Folders whose name is a number, by that number; `00012` is 12."""
    try:
        entries = [entry for entry in base_path.iterdir() if entry.is_dir()]
    except OSError as error:
        text = f"Could not find base path {base_path}: {error.strerror}"
        raise invalid(text) from error
    numbers = {entry: spec.version_number(entry.name) for entry in entries}
    return {number: entry for entry, number in numbers.items() if number is not None}


class VersionManager:
    """Serves the wanted good versions of one model; nothing is read before `poll`.

    `policy` and `labels` may be replaced; the next look reads the policy. Pauses of 0
    or less mean a single look, and -1 retries any number.
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
    ) -> None:
        self.model_name, self.base_path = model_name, base_path
        self.policy, self.labels = policy or Policy(), dict[str, int]()
        self._load, self._poll_seconds = load, poll_seconds
        self._max_retries, self._retry_seconds = max_retries, retry_seconds
        self._polling = threading.Lock()
        # Replaced, never changed: it is read without the lock.
        self._served: Mapping[int, Servable] = {}
        self._seen: dict[int, Version] = {}
        self._stop, self._warned = threading.Event(), ""
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def serving_version(self) -> int | None:
        """The newest version that answers; None before the first is loaded."""
        return max(self._served, default=None)

    def available(self) -> set[int]:
        """The versions that answer."""
        return set(self._served)

    def statuses(self) -> dict[int, Status]:
        """Status of every version ever seen, by number."""
        return {
            number: version.status for number, version in sorted(self._seen.items())
        }

    def terminal_failure(self) -> str | None:
        """The reason why nothing will be served without new files; None otherwise."""
        failed = {n: v for n, v in sorted(self._seen.items()) if v.failed_loads}
        if self._served or not failed or any(map(self._is_left, failed.values())):
            return None
        return f"version {max(failed)}: {failed[max(failed)].status.message}"

    def labelled(self, label: str) -> int:
        """The version of a label."""
        if label not in self.labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return self.labels[label]

    def find(self, number: int | None = None) -> Servable:
        """A version that answers, loaded as long as it is referred to; None: newest."""
        served = self._served
        wanted = max(served, default=-1) if number is None else number
        if wanted not in served:
            raise not_found(self.model_name, number)
        return served[wanted]

    def start(self) -> None:
        """Looks at the base path from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stops looking and retires the versions that are served."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._polling:
            self._retire_all_but(set())

    def poll(self) -> None:
        """One look: loads the wanted versions that are neither served nor given up."""
        with self._polling:
            on_disk, policy = versions_on_disk(self.base_path), self.policy
            if not on_disk:
                self._warn(_no_versions(self.model_name, self.base_path))
            kept: set[int] = set()
            for number in sorted(on_disk, reverse=True):
                if policy.newest is not None and len(kept) >= policy.newest:
                    break
                if policy.only is None or number in policy.only:
                    self._look_at(number, on_disk[number])
                    # If a replacement cannot be loaded, the old one still answers.
                    kept |= {number} & self._served.keys()
            # Never unload the last version.
            if kept:
                self._retire_all_but(kept)

    def _watch(self) -> None:
        # As in TF Serving: without a pause there is but one look.
        while self._poll_seconds > 0 and not self._stop.wait(self._poll_seconds):
            try:
                self.poll()
            except StatusError as error:
                self._warn(str(error))
            except Exception:
                # The watch must outlive whatever a file system can do.
                log.exception("looking for versions under %s failed", self.base_path)

    def _warn(self, message: str) -> None:
        if message != self._warned:
            log.warning("%s", message)
        self._warned = message

    def _look_at(self, number: int, path: Path) -> None:
        """Loads a version unless it is served as it lies there, or given up."""
        identity = _identity(path)
        version = self._seen.setdefault(number, Version())
        if version.identity != identity:
            version.identity, version.failed_loads, version.retry_at = identity, 0, 0.0
        elif number in self._served and not version.failed_loads:
            return
        if self._is_left(version) and time.monotonic() >= version.retry_at:
            self._try_load(number, version, path)

    def _is_left(self, version: Version) -> bool:
        return self._max_retries < 0 or version.failed_loads <= self._max_retries

    def _try_load(self, number: int, version: Version, path: Path) -> None:
        if number in self._served:
            log.warning("version %d of %s was replaced", number, self.model_name)
        else:
            version.status = Status(State.LOADING)
        log.info("loading version %d of %s", number, self.model_name)
        try:
            servable = self._load(path)
        except StatusError as error:
            metrics.LOAD_ATTEMPTS.labels(str(path), "fail").inc()
            self._note_failure(number, version, error)
            return
        metrics.LOAD_ATTEMPTS.labels(str(path), "success").inc()
        version.failed_loads, self._warned = 0, ""
        self._served = {**self._served, number: servable}
        version.status = Status(State.AVAILABLE)
        log.info("version %d of %s is available", number, self.model_name)

    def _note_failure(self, number: int, version: Version, error: StatusError) -> None:
        version.failed_loads += 1
        version.retry_at = time.monotonic() + self._retry_seconds
        if number not in self._served:
            version.status = Status(State.END, error.code, error.message)
        metrics.REJECTED.labels(self.model_name, str(number), error.code.name).inc()
        loads = (version.failed_loads, 1 + self._max_retries)
        text = "version %d of %s cannot be loaded (load %d of %d): %s"
        log.error(text, number, self.model_name, *loads, error.message)

    def _retire_all_but(self, kept: set[int]) -> None:
        gone = self._served.keys() - kept
        self._served = {n: s for n, s in self._served.items() if n in kept}
        for number in gone:
            self._seen[number].status = Status(State.END)
        if gone:
            # TensorFlow's graphs are cycles of hundreds of MiB.
            gc.collect()


def not_found(model_name: str, number: int | None) -> StatusError:
    """The error of a request for a model or version that is not served."""
    wanted = "Latest({})" if number is None else "Specific({}, {})"
    text = f"Servable not found for request: {wanted.format(model_name, number)}"
    return StatusError(StatusCode.NOT_FOUND, text)


def _identity(path: Path) -> frozenset[tuple[int, int, int]]:
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
        message += (
            ", which holds a saved_model.pb itself: it must lie one level deeper, as "
            f"{base_path.name}/1/saved_model.pb"
        )
    return message
