"""`python -m serving.client`: one query, against this server or TF Serving itself."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from serving.client.channel import read_security
from serving.client.client import DEFAULT_TIMEOUT_SECONDS, Client
from serving.client.messages import QueryError

_FALLBACK = {
    False: "nothing that was given is known: popular items",
    True: "the item or the whole history is unknown: nothing to explain",
}
_HISTORY_ONLY = ("why", "allow", "include_history", "probabilities")
_EXCLUSIVE = {
    "similar_to": _HISTORY_ONLY,
    "why": ("exclude", *_HISTORY_ONLY[1:]),
    "include_history": ("allow",),
}
"""Flags that cannot be given together with another one."""


def _ask(
    client: Client, args: argparse.Namespace
) -> tuple[list[tuple[str, float]], bool]:
    """Items with their values, and whether the answer is a fallback."""
    if args.why is not None:
        explanation = client.explain(args.history, args.why)
        return explanation.influences, explanation.is_fallback
    if args.similar_to is not None:
        answer = client.similar_items(args.similar_to, args.k, args.exclude)
    else:
        answer = client.recommend(
            args.history, args.k, args.exclude, args.include_history, args.allow
        )
    pairs = answer.items
    if args.probabilities:
        items = [item for item, _ in pairs]
        pairs = list(zip(items, answer.probabilities, strict=True))
    return pairs, answer.is_fallback


def _text(pairs: list[tuple[str, float]], is_fallback: bool, as_json: bool) -> str:
    if not as_json:
        return "".join(f"{item}\t{value:.6f}\n" for item, value in pairs)
    items = [{"item": item, "value": value} for item, value in pairs]
    return json.dumps({"items": items, "is_fallback": is_fallback}) + "\n"


def _parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
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
    question = parser.add_mutually_exclusive_group(required=True).add_argument
    text = "raw item ids, oldest first; empty for a new user"
    question("--history", help=text, **items)
    question("--similar_to", metavar="ITEM", help="items most like this one, instead")
    add("--why", metavar="ITEM", help="what each item of the history adds to its score")
    add("--k", type=_positive(int), default=10, help="items wanted; default 10")
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
    add("--timeout", type=_positive(float), default=seconds, help=text)
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
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


def _positive(kind: Any) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        if not 0 < (value := kind(text)) < 2**31:
            raise argparse.ArgumentTypeError(f"must be above 0. Received: {text}")
        return value

    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    try:
        security = read_security(
            args.ca_file, args.cert_file, args.key_file, args.token_file
        )
        with Client(args.target, args.model_name, args.timeout, security) as client:
            pairs, is_fallback = _ask(client, args)
    except (QueryError, OSError) as error:
        print(f"query: {error}", file=sys.stderr)
        return 1
    if is_fallback:
        print(f"query: {_FALLBACK[args.why is not None]}", file=sys.stderr)
    if args.why is None and len(pairs) < args.k:
        print(
            f"query: the model answers {len(pairs)} of {args.k} items", file=sys.stderr
        )
    text = _text(pairs, is_fallback, args.json)
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
