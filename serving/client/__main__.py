"""`python -m serving.client`: one query, against this server or TF Serving itself."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from serving.client.channel import read_security
from serving.client.client import Client
from serving.client.flags import parse_args
from serving.client.messages import QueryError

_FALLBACK = {
    False: "nothing that was given is known: popular items",
    True: "the item or the whole history is unknown: nothing to explain",
}


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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
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
