"""`s4rec COMMAND ...`, and the same as `python -m pipelines.command_line`.

A subcommand runs the module of the same command in this process, so that flags, output
and exit codes are the module's. No heavy package is imported before its command line is
read.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import runpy
import sys
from collections.abc import Sequence

import s4rec_tf
from pipelines.command_line.commands import COMMANDS, Command
from s4rec_tf.exit_codes import ExitCode

_SHOWN_PACKAGES = ("tensorflow", "keras", "apache-beam")


def _make_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {c.summary}" for name, c in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="s4rec",
        usage="s4rec [-h] [--version] COMMAND ...",
        description="Sequential recommendation from raw logs to answers.",
        epilog="\n".join(
            [
                "commands:",
                *lines,
                f"  {'completion'.ljust(width)}  print a shell's completion script",
                "",
                "s4rec COMMAND --help lists the command's flags.",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("command", choices=[*COMMANDS, "completion"], metavar="COMMAND")
    return parser


def _version() -> str:
    parts = [f"Python {platform.python_version()}"]
    for name in _SHOWN_PACKAGES:
        try:
            parts.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            parts.append(f"no {name}")
    return f"s4rec {s4rec_tf.__version__} ({', '.join(parts)})"


def _run(name: str, command: Command, rest: Sequence[str]) -> int:
    sys.argv = [f"s4rec {name}", *rest]
    try:
        runpy.run_module(command.module, run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("beam_jobs", "s4rec_tf", "serving"):
            raise  # a defect of the project itself
        print(
            f"s4rec {name}: needs the package {error.name}: "
            f"pip install 's4rec-tf[{command.extra}]'",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    return ExitCode.OK


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns its exit code, or leaves by `SystemExit` with it."""
    given = list(sys.argv[1:] if argv is None else argv)
    name = _make_parser().parse_args(given[:1]).command
    if name == "completion":
        from pipelines.command_line import completion

        return completion.main(given[1:])
    return _run(name, COMMANDS[name], given[1:])


if __name__ == "__main__":
    sys.exit(main())
