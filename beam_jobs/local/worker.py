"""A worker process on this machine: `python -m beam_jobs.local.worker [MODULE ...]`.

Beam's own worker, with memory kept as `memory` says. The modules are imported first,
without what they remark on standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence


def main(modules: Sequence[str]) -> None:
    """Works until the runner ends the connection."""
    from beam_jobs.local.memory import search_cycles_rarely

    search_cycles_rarely()
    with contextlib.redirect_stderr(io.StringIO()):
        for name in modules:
            importlib.import_module(name)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would take a second to take its modules apart, one worker after another.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
