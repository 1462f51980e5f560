"""Objects below an address of an object store (`gs://`, `s3://`), by cloudpathlib.

An object appears whole, when all of it has arrived, and replaces the one before.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

SCHEMES = ("gs", "s3")
_FORBIDDEN = re.compile(r"\b403\b|AccessDenied|Forbidden")


class StoreError(OSError):
    """A store that cannot be reached or refuses; `errno` is EACCES if it forbids."""


class Store:
    """The objects below an address.

    Args:
        url: such as "gs://bucket/runs/one".

    Raises:
        StoreError: if the scheme is unknown, or its packages are not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        scheme = url.partition("://")[0]
        if scheme not in SCHEMES:
            raise StoreError(
                f"an address must begin with {'://, '.join(SCHEMES)}://. Received: "
                f"{url!r}"
            )
        with _store_errors(self.url):
            self._root = _client(scheme).CloudPath(self.url)

    def names(self) -> list[str]:
        """Names of all objects, relative to the address, sorted.

        Raises:
            StoreError: if one of them leads out of the address.
        """
        with _store_errors(self.url):
            found = [
                (folder / name).relative_to(self._root).as_posix()
                for folder, _, files in self._root.walk()
                for name in files
            ]
        for name in found:
            if ".." in PurePosixPath(name).parts:
                raise StoreError(f"{self.url} must not hold the name {name!r}")
        return sorted(found)

    def etag(self, name: str) -> str | None:
        """The store's mark of an object's content; None if there is no object."""
        with self._errors(name) as path:
            return str(path.etag) if path.is_file() else None

    def fetch(self, name: str, file: Path) -> None:
        """Copies an object to a file, whose folder must exist."""
        with self._errors(name) as path:
            path.download_to(file)

    def put(self, file: Path, name: str) -> None:
        """Copies a file to an object."""
        with self._errors(name) as path:
            path.upload_from(file, force_overwrite_to_cloud=True)

    def copy(self, name: str, other: str) -> None:
        """Copies an object to another one within the store."""
        with self._errors(other) as path:
            (self._root / name).copy(path, force_overwrite_to_cloud=True)

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[Any]:
        with _store_errors(f"{self.url}/{name}"):
            yield self._root / name


@functools.cache
def _client(scheme: str) -> Any:
    """The client of a scheme; its credentials are those of the environment."""
    # Imported late: a run of this machine needs no store's packages.
    if scheme == "s3":
        from cloudpathlib import S3Client

        return S3Client()
    from cloudpathlib import GSClient
    from google.cloud.storage.retry import DEFAULT_RETRY

    # Google's client itself tries uploads and copies once only.
    return GSClient(retry=DEFAULT_RETRY)


@contextlib.contextmanager
def _store_errors(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise StoreError(
            f"{url}: it needs a package that is not installed: {error}. "
            "Install s4rec-tf[stores]"
        ) from error
    except Exception as error:  # each store has errors of its own
        found = StoreError(f"{url}: {error}")
        found.errno = errno.EACCES if _FORBIDDEN.search(str(error)) else errno.EIO
        raise found from error
