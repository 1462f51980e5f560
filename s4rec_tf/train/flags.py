"""Flags that every way of training takes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from s4rec_tf.runs.working_copy import run_folder


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the run folder and the configuration."""
    add = parser.add_argument
    add(
        "--run_dir",
        type=run_folder,
        required=True,
        help="run folder, created if missing; also gs://... or s3://...",
    )
    add(
        "--checkpoint_minutes",
        type=float,
        default=10.0,
        metavar="M",
        help="also write the state within an epoch, this long after the last time; 0: "
        "not by time (default: %(default)s)",
    )
    add(
        "--checkpoint_steps",
        type=int,
        default=0,
        metavar="N",
        help="also write it after every N steps of an epoch; 0: not by steps (default)",
    )
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
    for name in ("checkpoint_minutes", "checkpoint_steps"):
        if not getattr(args, name) >= 0:
            value = getattr(args, name)
            parser.error(f"--{name} must not be negative. Received: {value}")
    args.set = [override for group in args.set for override in group]
    return args
