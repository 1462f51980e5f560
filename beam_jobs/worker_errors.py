"""What the operating system refused a worker, out of the error that an engine raises.

Engines hand a worker's exception on as text, traceback and all.
"""

from __future__ import annotations

import re

_OS_ERROR = re.compile(
    r"^(?:RuntimeError: )?\w*Error: (?P<reason>\[Errno \d+\] .+?)"
    r"(?: \[while running '(?P<step>[^']+)(?:-ptransform-\d+)?'\])?\s*$",
    re.MULTILINE,
)


def refused_by_system(error: BaseException) -> str | None:
    """The reason and the pipeline's step, if a worker failed by an `OSError`.

    Example: RuntimeError("OSError: [Errno 28] No space left on device: '/d/x' [while
    running 'WriteShard']") -> "[Errno 28] No space left on device: '/d/x' (in the step
    WriteShard)".
    """
    found = list(_OS_ERROR.finditer(str(error)))
    if not found:
        return None
    # The engine's own line, which names the step, comes after the worker's traceback.
    named = [match for match in found if match["step"]] or found
    reason, step = named[-1]["reason"], named[-1]["step"]
    return f"{reason} (in the step {step})" if step else reason
