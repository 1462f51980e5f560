"""Exit codes of the project's commands; `docs/command_line.md` has the same table."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Exit codes of all commands."""

    OK = 0
    """Done, or nothing was left to do."""
    FAILED = 1
    """Stopped by its input, its environment or a check; the last line names which."""
    USAGE = 2
    """The command line or a setting is wrong; nothing was read or written."""
    STATE_SAVED = 4
    """A training stopped by SIGTERM or Ctrl-C; the same command resumes it."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; most commands resume when they are started again."""


def of_signal(number: int) -> int:
    """The exit code of a command that a signal ends, as shells have it."""
    return 128 + number
