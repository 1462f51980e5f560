"""Downloads of one file over HTTP that go on where they stopped."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests
import urllib3

BLOCK_BYTES = 1 << 20
_TIMEOUT_SECONDS = (15, 60)  # to connect, and between two blocks
_ATTEMPTS = 5
_PAUSE_SECONDS = 1.0

_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)
"""Errors of the network; a full disk is none of them."""

Report = Callable[[int, int | None], None]
"""Takes the number of bytes that are there, and the number of all, if it is known."""


class DownloadError(ValueError):
    """A file that cannot be downloaded, with the reason."""


class _Validator(NamedTuple):
    """Validator of a remote file: its ETag, or else its time of change."""

    url: str
    value: str


class Download:
    """One file on its way: `FILE.part`, and `FILE.part.json` with the server's word.

    A partial file is continued only if the server states that its file is the same
    (`If-Range`); otherwise it starts anew.
    """

    def __init__(self, url: str, part: Path) -> None:
        self._url = url
        self._part = part
        self._state = part.with_name(part.name + ".json")

    def run(self, report: Report) -> None:
        """Fetches what is missing of the file, and tries again where it breaks off.

        Raises:
            DownloadError: if the server refuses, or cannot be reached.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            size_before = self._size()
            try:
                return self._fetch(report)
            except _BROKEN as error:
                if self._size() == size_before and attempt >= 2:
                    raise DownloadError(
                        f"{self._url} cannot be read: {_reason(error)}"
                    ) from None
                failure = error
            time.sleep(_PAUSE_SECONDS * (attempt - 1))
        raise DownloadError(f"{self._url} breaks off: {_reason(failure)}")

    def forget(self) -> None:
        """Removes the server's word about the file."""
        self._state.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _fetch(self, report: Report) -> None:
        with requests.get(
            self._url, headers=self._headers(), stream=True, timeout=_TIMEOUT_SECONDS
        ) as response:
            if response.status_code == 416:  # nothing is missing, or it has changed
                return self._check_complete(response)
            if response.status_code not in (200, 206):
                raise DownloadError(
                    f"{self._url} must be answered by 200 or 206. Received: "
                    f"{response.status_code} {response.reason}"
                )
            self._receive(response, report)

    def _headers(self) -> dict[str, str]:
        # A gzip file must arrive as it is stored, not unpacked on the way.
        headers = {"Accept-Encoding": "identity", "User-Agent": "s4rec-tf"}
        validator = self._validator()
        if validator is not None and self._size():
            headers["Range"] = f"bytes={self._size()}-"
            headers["If-Range"] = validator.value
        return headers

    def _validator(self) -> _Validator | None:
        if not self._state.exists():
            return None
        found = _Validator(**json.loads(self._state.read_text("utf-8")))
        return found if found.url == self._url else None

    def _receive(self, response: requests.Response, report: Report) -> None:
        continues = response.status_code == 206
        size = self._size() if continues else 0
        _check_range(response, size)
        total = _total_bytes(response, size)
        self._remember(response)
        with self._part.open("ab" if continues else "wb") as file:
            while block := response.raw.read(BLOCK_BYTES, decode_content=False):
                file.write(block)
                size += len(block)
                report(size, total)
        if total is not None and size != total:
            raise requests.ConnectionError(f"{size} of {total} bytes arrived")

    def _remember(self, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        if tag.startswith("W/"):  # a weak tag does not promise equal bytes
            tag = ""
        value = tag or response.headers.get("Last-Modified", "")
        if not value:
            return self.forget()
        state = _Validator(self._url, value)._asdict()
        self._state.write_text(json.dumps(state), "utf-8")

    def _check_complete(self, response: requests.Response) -> None:
        whole = re.fullmatch(
            r"bytes \*/(\d+)", response.headers.get("Content-Range", "")
        )
        if whole is None or int(whole[1]) != self._size():
            self.forget()
            self._part.unlink()
            raise requests.ConnectionError("the file has changed since it was begun")


def _reason(error: Exception) -> object:
    """Innermost cause of an error, without the wrappers of libraries."""
    return getattr(error.args[0] if error.args else None, "reason", error)


def _check_range(response: requests.Response, start: int) -> None:
    found = response.headers.get("Content-Range", f"bytes {start}-")
    if not found.startswith(f"bytes {start}-"):
        raise DownloadError(
            f"the server must send the bytes from {start} on. Received: {found!r}"
        )


def _total_bytes(response: requests.Response, received: int) -> int | None:
    length = response.headers.get("Content-Length")
    return None if length is None else received + int(length)
