"""Exit codes of the project's commands; `docs/exit_codes.md` has the same table."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a command ended. A signal ends it with 128 and the signal's number."""

    OK = 0
    """Done, or nothing was left to do."""
    FAILED = 1
    """Stopped by its input, its environment or a check; the last line says by which."""
    USAGE = 2
    """The command line or a setting is wrong; nothing was read or written."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C (SIGINT); the same command resumes or starts anew."""
    TERMINATED = 143
    """Stopped by SIGTERM; likewise."""
