"""`python -m beam_jobs.fetch NAME`: a public log, ready for the data job."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from beam_jobs.fetch.catalogue import CATALOGUE
from beam_jobs.fetch.download import DownloadError
from beam_jobs.fetch.fetch import RECEIPT_NAME, Receipt, Wanted, fetch
from s4rec_tf.exit_codes import ExitCode

_SECONDS_BETWEEN_REPORTS = 5.0
_CHECKED = {
    "known": "as known",
    "given": "as given",
    "as_before": "as fetched before",
    "first_use": f"nothing to compare with: recorded in {RECEIPT_NAME}, later fetches "
    "must agree",
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m beam_jobs.fetch",
        description="Fetch a public log from its publisher, check its digest, and "
        "print the command that makes a dataset of it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("name", nargs="?", choices=sorted(CATALOGUE), metavar="NAME", help="see --list")
    add("--list", action="store_true", help="print names and addresses of all logs")
    add("--output", type=Path, metavar="DIR", help="a folder (default: logs/NAME)")
    add(
        *("--from_file", "--from-file"),
        type=Path,
        metavar="FILE",
        help="the publisher's file, downloaded by other means; nothing is fetched",
    )
    add("--url", help="of a mirror of the publisher's file")
    add("--sha256", type=_digest, metavar="HEX", help="the digest that it must have")
    add("--quiet", action="store_true", help="print the command alone")
    add("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    if not args.list and args.name is None:
        parser.error("NAME is needed; --list prints all names")
    return args


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text.lower()):
        raise argparse.ArgumentTypeError(
            f"must be 64 hexadecimal digits. Received: {text!r}"
        )
    return text.lower()


def print_list(as_json: bool) -> None:
    """Prints the catalogue."""
    if as_json:
        entries = {
            name: {"url": log.url, "sha256": log.sha256, **log.terms._asdict()}
            for name, log in sorted(CATALOGUE.items())
        }
        print(json.dumps(entries))
        return
    for name, log in sorted(CATALOGUE.items()):
        print(f"{name:<16} {log.url}")


class _Progress:
    """Prints how far a download is, every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, received: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_REPORTS:
            self._last = now
            of_all = "" if total is None else f" of {total / 1e6:.1f}"
            print(f"{received / 1e6:.1f}{of_all} MB", file=sys.stderr)


def prepare_command(wanted: Wanted, receipt: Receipt) -> list[str]:
    """The command that makes a dataset of a fetched log."""
    log = str(wanted.folder / receipt.log)
    start = ["python", "-m", "beam_jobs.prepare_dataset", "--input", log]
    return [*start, *wanted.published.flags, "--output", f"data/{wanted.name}"]


def _print_terms(wanted: Wanted) -> None:
    terms = wanted.published.terms
    print(
        f"{wanted.url or wanted.published.url}\nterms: {terms.summary} {terms.page}\n"
        f"cite: {terms.citation}",
        file=sys.stderr,
    )


def _print_result(wanted: Wanted, receipt: Receipt, args: argparse.Namespace) -> None:
    command = prepare_command(wanted, receipt)
    if args.json:
        terms = wanted.published.terms._asdict()
        result = {**receipt._asdict(), "folder": str(wanted.folder), "terms": terms}
        print(json.dumps({**result, "command": command}))
        return
    if not args.quiet:
        print(f"sha256: {receipt.sha256} ({_CHECKED[receipt.checked]})")
        print(f"log: {wanted.folder / receipt.log}\nmake a dataset of it:")
    print(shlex.join(command))


def _advice(wanted: Wanted) -> str:
    return (
        f"where this machine has no way there, download {wanted.published.url} on "
        f"another and run: python -m beam_jobs.fetch {wanted.name} --from_file FILE "
        "(a proxy is named by HTTPS_PROXY, a mirror by --url)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    if args.list:
        print_list(args.json)
        return ExitCode.OK
    folder = args.output or Path("logs") / args.name
    published = CATALOGUE[args.name]
    wanted = Wanted(args.name, published, folder, args.url, args.sha256, args.from_file)
    if not args.quiet:
        _print_terms(wanted)
    return _run(wanted, args)


def _run(wanted: Wanted, args: argparse.Namespace) -> int:
    try:
        receipt = fetch(wanted, (lambda *_: None) if args.quiet else _Progress())
    except DownloadError as error:
        print(f"fetch: error: {error}; {_advice(wanted)}", file=sys.stderr)
        return ExitCode.FAILED
    except (ValueError, OSError) as error:
        print(f"fetch: error: {error}", file=sys.stderr)
        return ExitCode.FAILED
    _print_result(wanted, receipt, args)
    return ExitCode.OK


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("fetch: stopped; the same command resumes", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
