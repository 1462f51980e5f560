"""The command line of `python -m serving.client`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEFAULT_TIMEOUT_SECONDS = 10.0

_HISTORY_ONLY = ("why", "allow", "include_history", "probabilities")
_EXCLUSIVE = {
    "similar_to": _HISTORY_ONLY,
    "why": ("exclude", *_HISTORY_ONLY[1:]),
    "include_history": ("allow",),
}
"""Flags that cannot be given together with another one."""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses and checks the flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.client",
        allow_abbrev=False,
        description="Asks a model server for the best items after a history and prints "
        "a line each: item, tab, score.",
    )
    add = parser.add_argument
    items: Any = {"type": _items, "metavar": "ITEM,ITEM,…"}
    add("--target", required=True, metavar="HOST:PORT", help="gRPC address")
    add("--model_name", required=True, help="name of the served model")
    add("--history", help="raw item ids, oldest first; empty for a new user", **items)
    add("--similar_to", metavar="ITEM", help="items most like this one, instead")
    add("--why", metavar="ITEM", help="what each item of the history adds to its score")
    add("--k", type=_positive, default=10, help="items wanted; default 10")
    add("--exclude", default=[], help="raw item ids not to answer", **items)
    add("--allow", help="raw item ids, the only ones to answer", **items)
    switch = "store_true"
    add("--include_history", action=switch, help="answer items of the history too")
    add("--probabilities", action=switch, help="print probabilities instead of scores")
    add("--json", action=switch, help="print one JSON object")
    add("--ca_file", type=Path, help="PEM of who signed the server's key: use TLS")
    add("--cert_file", type=Path, help="PEM of the client's own certificate")
    add("--key_file", type=Path, help="PEM of its key")
    add("--token_file", type=Path, help="file of the token that the server asks for")
    seconds = DEFAULT_TIMEOUT_SECONDS
    text = f"seconds for each call; default {seconds:g}"
    add("--timeout", type=_seconds, default=seconds, help=text)
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if (args.history is None) == (args.similar_to is None):
        parser.error("one of --history and --similar_to is needed, and not both")
    for name, others in _EXCLUSIVE.items():
        if getattr(args, name) not in (None, False):
            given = [other for other in others if getattr(args, other)]
            if given:
                parser.error(f"--{name} and --{given[0]} cannot be given together")
    if (args.cert_file is None) != (args.key_file is None):
        parser.error("--cert_file and --key_file belong together")
    if args.ca_file is None and (args.cert_file or args.token_file):
        parser.error("--cert_file and --token_file need --ca_file")


def _items(text: str) -> list[str]:
    return [item for item in text.split(",") if item]


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"must be at least 1. Received: {text}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be above 0. Received: {text}")
    return value
