"""Flags that several of the commands and workers take; loads nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

MODELS = ("sasrec", "s4rec")
SHAPES = ("beauty", "million", "million_softmax", "tiny")
_UNLIMITED = 1_000_000_000


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """Adds what is measured, for how long, and with which settings."""
    add = parser.add_argument
    add("--only", choices=MODELS, action="append", help="this model alone; repeatable")
    add("--seconds", type=float, default=8.0, help="of each measurement (8)")
    add("--steps", type=int, default=_UNLIMITED, help="at most, of each measurement")
    add_settings(parser)


def parse_bounded(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> argparse.Namespace:
    """Parses the command line and checks the bounds."""
    args = parser.parse_args(argv)
    if args.seconds <= 0 or args.steps < 1:
        parser.error(
            "--seconds must be positive and --steps at least 1. "
            f"Received: {args.seconds}, {args.steps}"
        )
    return args


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds settings of a model."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the models; repeatable",
    )


def setting_flags(settings: Sequence[str]) -> list[str]:
    """The command line that gives a worker these settings."""
    return [word for setting in settings for word in ("--set", setting)]


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds a model, its settings and a shape of data."""
    parser.add_argument("--model", required=True)
    parser.add_argument("--shape", required=True)
    add_settings(parser)


def peer_parser() -> argparse.ArgumentParser:
    """The command line of a peer's process."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--sequences", type=Path, required=True)
    parser.add_argument("--num_items", type=int, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--use_gpu", action="store_true")
    return parser
