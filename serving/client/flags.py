"""The command line of `python -m serving.client`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

DEFAULT_TIMEOUT_SECONDS = 10.0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.client",
        allow_abbrev=False,
        description="Asks a model server for the best items after a history and prints "
        "a line each: item, tab, score.",
    )
    add = parser.add_argument
    add("--target", required=True, metavar="HOST:PORT", help="gRPC address")
    add("--model_name", required=True, help="name of the served model")
    add(
        "--history",
        type=_items,
        metavar="ITEM,ITEM,…",
        help="raw item ids, oldest first; empty for a new user",
    )
    add(
        "--similar_to",
        metavar="ITEM",
        help="ask for the items most like this one, instead of --history",
    )
    add(
        "--why",
        metavar="ITEM",
        help="ask what each item of the history adds to this one's score",
    )
    add("--k", type=_positive, default=10, help="items wanted; default 10")
    add(
        "--exclude",
        type=_items,
        default=[],
        metavar="ITEM,ITEM,…",
        help="raw item ids that must not be answered",
    )
    add(
        "--allow",
        type=_items,
        metavar="ITEM,ITEM,…",
        help="raw item ids, of which alone the answer is made",
    )
    add(
        "--include_history",
        action="store_true",
        help="let items of the history be answered too",
    )
    add(
        "--probabilities",
        action="store_true",
        help="print how likely an item is the next one, instead of its score",
    )
    add("--json", action="store_true", help="print one JSON object")
    add("--ca_file", type=Path, help="PEM of who signed the server's key: use TLS")
    add("--cert_file", type=Path, help="PEM of the client's own certificate")
    add("--key_file", type=Path, help="PEM of its key")
    add("--token_file", type=Path, help="file of the token that the server asks for")
    add(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_SECONDS,
        help=f"seconds for each call; default {DEFAULT_TIMEOUT_SECONDS:g}",
    )
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if (args.history is None) == (args.similar_to is None):
        parser.error("one of --history and --similar_to is needed, and not both")
    only_histories = (args.why, args.allow, args.include_history, args.probabilities)
    if args.similar_to is not None and any(only_histories):
        parser.error(
            "--similar_to takes neither --why, --allow, --include_history nor "
            "--probabilities"
        )
    if args.why is not None and any((args.exclude, *only_histories[1:])):
        parser.error(
            "--why takes neither --exclude, --allow, --include_history nor "
            "--probabilities"
        )
    if args.include_history and args.allow is not None:
        parser.error("--include_history and --allow cannot be asked for together")
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
