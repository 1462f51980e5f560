"""Flags that every way of training takes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the run folder and the configuration."""
    add = parser.add_argument
    add("--run_dir", type=Path, required=True, help="run folder, created if missing")
    add("--model", help="model to train, such as s4rec; a wrong name lists all")
    add("--config", help="name of a shipped configuration, or a YAML or JSON file")
    add(
        "--set",
        action="append",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings that override the configuration, flat keys; repeatable",
    )


def parse_run_flags(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> argparse.Namespace:
    """Parses the command line; `set` becomes one list."""
    args = parser.parse_args(argv)
    if not (args.model or args.config):
        parser.error("--model is required, or a --config that names one")
    args.set = [override for group in args.set for override in group]
    return args
