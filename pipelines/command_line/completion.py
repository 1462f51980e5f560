"""`s4rec completion SHELL`: a completion script of all subcommands and their flags."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from pipelines.command_line.commands import COMMANDS
from s4rec_tf.exit_codes import ExitCode

_PATHS = ("DIR", "FILE", "GLOB")
"""Metavariables that stand for a path."""
SHELLS = ("bash", "zsh", "tcsh")


class _Captured(Exception):
    """Carries the parser of a command out of the command."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser that a module's command reads its command line with.

    Commands build their parsers where they use them; the module is run up to that line.
    """

    def capture(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise _Captured(parser)

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_known_args", capture),
        mock.patch.object(sys, "argv", [module]),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except _Captured as found:
            return found.parser
    raise RuntimeError(f"{module} reads no command line")


def whole_parser(shtab: Any) -> argparse.ArgumentParser:
    """One parser of all subcommands, its paths marked for completion."""
    parser = argparse.ArgumentParser(prog="s4rec")
    subparsers = parser.add_subparsers()
    for name, command in COMMANDS.items():
        try:
            parents = [parser_of(command.module)]
        except ModuleNotFoundError:  # its extra is not installed
            parents = []
        for action in (action for parent in parents for action in parent._actions):
            if action.type is Path or action.metavar in _PATHS:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        subparsers.add_parser(
            name, help=command.summary, parents=parents, add_help=not parents
        )
    completions = subparsers.add_parser("completion", help="print this script")
    completions.add_argument("shell", choices=SHELLS)
    return parser


def main(argv: Sequence[str]) -> int:
    """Prints the script; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="s4rec completion",
        description="Print a completion script. In bash, put this into ~/.bashrc: "
        'eval "$(s4rec completion bash)"',
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=SHELLS)
    args = parser.parse_args(argv)
    try:
        shtab = importlib.import_module("shtab")
    except ModuleNotFoundError:
        print(
            "s4rec completion: needs the package shtab: "
            "pip install 's4rec-tf[completion]'",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    print(shtab.complete(whole_parser(shtab), shell=args.shell))
    return ExitCode.OK
