"""Beam's worker processes on this machine, ended also where Beam forgets them.

Beam (2.72) tells a worker to end over a connection that the worker makes. If a pipeline
fails before a worker has connected, it is not told, and Beam waits for it for ever.
"""

from __future__ import annotations

from apache_beam.portability import python_urns
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    SubprocessSdkWorkerHandler,
    WorkerHandler,
)


class EndingWorkerHandler(SubprocessSdkWorkerHandler):
    """A worker process that finds the word to end when it connects late."""

    def close(self) -> None:
        """Tells the worker to end and waits until it has."""
        self.control_conn.push(BeamFnControlServicer._DONE_MARKER)
        super().close()


def use() -> None:
    """Makes Beam's in-process runner start its worker processes by the class above."""
    WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)(
        EndingWorkerHandler
    )
