"""Files of an object store (`gs://`, `s3://`), through Beam's file systems.

An object store knows names, not folders: a folder is what the names below it begin
with, and it exists while there are any. An object appears when it is closed, whole.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

_SEPARATOR = "/"
_UNCOMPRESSED = "uncompressed"
"""CompressionTypes.UNCOMPRESSED: files are read and written as they are."""

_BLOCK_BYTES = 1 << 20


class RemoteError(OSError):
    """The error of an object store that refused a request."""


class _Stat(NamedTuple):
    st_size: int
    st_mtime: float


@functools.total_ordering
class RemotePath:
    """A file or folder with those of `pathlib.Path`'s methods that the job uses.

    Args:
        url: scheme, bucket and name, such as "gs://bucket/folder/file".
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip(_SEPARATOR)

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"RemotePath({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __lt__(self, other: RemotePath) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(self._url)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self._url}{_SEPARATOR}{name}")

    @property
    def name(self) -> str:
        """The part behind the last slash."""
        return self._url.rpartition(_SEPARATOR)[2]

    @property
    def parent(self) -> RemotePath:
        """The folder that it lies in."""
        return RemotePath(self._url.rpartition(_SEPARATOR)[0])

    def with_name(self, name: str) -> RemotePath:
        """Another file of the same folder."""
        return self.parent / name

    def relative_to(self, root: RemotePath) -> RemotePath:
        """The name below a folder."""
        return RemotePath(self._url.removeprefix(f"{root}{_SEPARATOR}"))

    def as_posix(self) -> str:
        """The url or, of a relative path, the name."""
        return self._url

    def match(self, pattern: str) -> bool:
        """Whether the last part of the name matches a pattern."""
        return fnmatch.fnmatchcase(self.name, pattern)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing: a folder is there as soon as a file is."""

    def open(self, mode: str = "rb") -> BinaryIO:
        """Opens the file for reading bytes, as they are stored.

        Raises:
            ValueError: for another mode; see `new_object` for writing.
        """
        if mode != "rb":
            raise ValueError(f"`mode` must be 'rb'. Received: {mode!r}")
        with _as_os_error(self._url):
            stream = _file_systems().open(self._url, compression_type=_UNCOMPRESSED)
        if isinstance(stream, io.BufferedReader):
            return stream
        return io.BufferedReader(stream, _BLOCK_BYTES)

    def read_bytes(self) -> bytes:
        """The whole content."""
        with self.open() as stream, _as_os_error(self._url):
            return stream.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content, decoded, whatever ends its lines."""
        return io.TextIOWrapper(io.BytesIO(self.read_bytes()), encoding).read()

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        with _as_os_error(self._url):
            return bool(_file_systems().exists(self._url))

    def is_dir(self) -> bool:
        """Whether there is any object below."""
        return any(True for _ in self.rglob("*"))

    def is_symlink(self) -> bool:
        """No object is a link."""
        return False

    def exists(self) -> bool:
        """Whether it is a file or a folder."""
        return self.is_file() or self.is_dir()

    def stat(self) -> _Stat:
        """The file's size and time of writing, as `st_size` and `st_mtime`."""
        with _as_os_error(self._url):
            system = _file_systems().get_filesystem(self._url)
            metadata = system.metadata(self._url)
        return _Stat(metadata.size_in_bytes, metadata.last_updated_in_seconds or 0.0)

    def checksum(self) -> str:
        """The store's own checksum or etag."""
        with _as_os_error(self._url):
            return str(_file_systems().checksum(self._url))

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """The files below, at any depth, whose last part matches."""
        with _as_os_error(self._url):
            (found,) = _file_systems().match([f"{self._url}{_SEPARATOR}**"])
        paths = [RemotePath(entry.path) for entry in found.metadata_list]
        return (path for path in sorted(paths) if path.match(pattern))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The files and folders directly in it whose name matches."""
        return (path for path in self.iterdir() if path.match(pattern))

    def iterdir(self) -> Iterator[RemotePath]:
        """The files and folders directly in it."""
        below = (str(path.relative_to(self)) for path in self.rglob("*"))
        names = {name.partition(_SEPARATOR)[0] for name in below}
        return (self / name for name in sorted(names))

    def unlink(self, missing_ok: bool = False) -> None:
        """Deletes the file."""
        if missing_ok and not self.is_file():
            return
        with _as_os_error(self._url):
            _file_systems().delete([self._url])


@contextlib.contextmanager
def new_object(path: RemotePath) -> Iterator[BinaryIO]:
    """Opens an object that appears when the block ends without an error."""
    with tempfile.SpooledTemporaryFile(_BLOCK_BYTES) as spool:
        yield cast(BinaryIO, spool)
        size = spool.tell()
        spool.seek(0)
        with _as_os_error(str(path)):
            if size == 0 and str(path).startswith("s3://"):
                _put_empty(path)
                return
            with _file_systems().create(
                str(path), compression_type=_UNCOMPRESSED
            ) as stream:
                shutil.copyfileobj(spool, stream, _BLOCK_BYTES)


def _put_empty(path: RemotePath) -> None:
    # Beam's writer sends parts, and S3 refuses an upload without any.
    from apache_beam.io.aws.s3io import S3IO, parse_s3_path

    bucket, key = parse_s3_path(str(path))
    options = _file_systems().get_filesystem(str(path))._options
    S3IO(options=options).client.client.put_object(Bucket=bucket, Key=key, Body=b"")


def delete_below(folder: RemotePath, last: str = "") -> None:
    """Deletes every file below a folder, that of the name `last` after all others."""
    final = f"{folder}{_SEPARATOR}{last}"
    urls = [str(path) for path in folder.rglob("*")]
    for part in ([u for u in urls if u != final], [u for u in urls if u == final]):
        if part:
            with _as_os_error(str(folder)):
                _file_systems().delete(part)


def is_remote(text: str) -> bool:
    """Whether a path names a file system other than the machine's own."""
    return "://" in text


def check_scheme(url: str) -> None:
    """Refuses a url whose file system Beam does not know here.

    Raises:
        RemoteError: naming the extra to install.
    """
    scheme = url.partition("://")[0]
    with _as_os_error(url):
        try:
            _file_systems().get_filesystem(url)
        except ValueError as error:
            raise RemoteError(
                f"{url}: no file system for {scheme}:// is installed here; gs:// needs "
                "apache-beam[gcp], s3:// needs apache-beam[aws]"
            ) from error


def matching(pattern: str) -> list[str]:
    """The files that match a pattern with `*`, `**`, `?` or `[...]`, sorted."""
    with _as_os_error(pattern):
        (found,) = _file_systems().match([pattern])
    return sorted(entry.path for entry in found.metadata_list)


def set_flags(flags: Sequence[str]) -> None:
    """Tells the file systems of this process what Beam's flags say of them."""
    from apache_beam.options.pipeline_options import PipelineOptions

    _file_systems().set_options(PipelineOptions(list(flags)))


def _file_systems() -> Any:
    # Imported late: `--help` and a wrong flag need not wait for Beam.
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


@contextlib.contextmanager
def _as_os_error(url: str) -> Iterator[None]:
    try:
        yield
    except RemoteError:
        raise
    except Exception as error:  # each store has errors of its own
        details = getattr(error, "exception_details", None) or {}
        causes = "; ".join(str(cause) for cause in details.values()) or str(error)
        raise RemoteError(f"{url}: {causes}") from error
