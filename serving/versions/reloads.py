"""HandleReloadConfigRequest: another configuration, within bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from grpc import StatusCode

from serving import limits
from serving.status import StatusError, invalid_argument
from serving.versions.models import ModelEntry, Models, entries_of


class Reloads:
    """Serves other configurations on request, one after the other."""

    def __init__(
        self, models: Models, roots: Sequence[Path], stop: threading.Event
    ) -> None:
        """Takes what is changed.

        Args:
            models: that are served.
            roots: folders below which a base path must lie.
            stop: ends all waiting.
        """
        self._models, self._stop = models, stop
        self._roots = [root.resolve() for root in roots]
        # A reload waits for versions: it must not take a thread from other calls.
        self._thread = futures.ThreadPoolExecutor(1, "reload")

    async def serve(self, config: Any) -> None:
        """Serves a ModelServerConfig and waits until each of its models answers.

        Raises:
            StatusError: INVALID_ARGUMENT if nothing was changed; DEADLINE_EXCEEDED if
                it takes too long, and then goes on; otherwise as `Models.replace`.
        """
        entries = entries_of(config)
        for entry in entries:
            self._check_root(entry)
        seconds = limits.RELOAD_SECONDS
        work = self._thread.submit(self._models.replace, entries, self._stop, seconds)
        try:
            async with asyncio.timeout(seconds + 1):
                await asyncio.wrap_future(work)
        except TimeoutError as error:
            raise StatusError(
                StatusCode.DEADLINE_EXCEEDED,
                f"the configuration is not served after {seconds:g} s: it goes on, see "
                "GetModelStatus",
            ) from error

    def close(self) -> None:
        """Takes no more of them."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _check_root(self, entry: ModelEntry) -> None:
        resolved = entry.base_path.resolve()
        if not any(resolved.is_relative_to(root) for root in self._roots):
            names = ", ".join(map(str, self._roots))
            raise invalid_argument(
                f"model {entry.name}: a base path must lie below {names} "
                f"(--reload_root). Received: {entry.base_path}"
            )
