"""Flags for Beam itself, checked before a pipeline exists."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class UsageError(ValueError):
    """A command line that cannot be meant, found after `parse_args`."""


def checked_beam_flags(flags: Sequence[str]) -> list[str]:
    """Flags for Beam's `PipelineOptions`, completed.

    `--setup_file` by its full path; and no copy of this process's main module for the
    workers, which import all they need.

    Raises:
        UsageError: naming what is neither ours nor Beam's, an abbreviation included; or
            a `--setup_file` that is none.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for options in _subclasses(PipelineOptions):
        options._add_argparse_args(parser)
    known, unknown = parser.parse_known_args(list(flags))
    if unknown:
        raise UsageError(
            f"unrecognized arguments: {' '.join(unknown)} (neither the job's own, see "
            "--help, nor one of Beam's pipeline options; abbreviations are not taken)"
        )
    is_said = known.save_main_session is not None
    completed = [*([] if is_said else ["--no_save_main_session"]), *flags]
    if known.setup_file is not None:
        completed.append(f"--setup_file={_full_path_of_setup(known.setup_file)}")
    return completed


def _full_path_of_setup(text: str) -> Path:
    # Beam changes to the file's folder, which it takes from the path as given.
    path = Path(text).absolute()
    if path.name != "setup.py" or not path.is_file():
        raise UsageError(
            f"argument --setup_file: must be the path of a setup.py. Received: {text!r}"
        )
    return path


def _subclasses(base: Any) -> list[Any]:
    """All classes below a class, each once, in order of name."""
    direct = base.__subclasses__()
    below = {cls for child in direct for cls in (child, *_subclasses(child))}
    return sorted(below, key=str)
