"""`python -m pipelines.erasure`: removes what holds some users, and searches for more.

Old datasets with any of the users go, and the runs and versions made of these. What
then still holds an id, by its bytes, is named.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.erasure.holders import Holder, holders
from pipelines.erasure.search import Needles, files_with
from s4rec_tf.exit_codes import ExitCode

GONE = ".erased-"
"""How the name of a folder begins while it is removed."""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.erasure",
        description="Lists the datasets that hold some users, the runs and versions "
        "made of them, and every file that holds an id, inside gzip, TFRecord and zip "
        "too. With --remove removes the former first. Exit code 0 means that nothing "
        "is left.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--users", type=Path, required=True, help="raw user ids, one a line")
    add(
        "folders",
        type=Path,
        nargs="+",
        help="of datasets, runs and exports, with all that lies below",
    )
    add("--remove", action="store_true", help="remove what holds them")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        return erase(args)
    except (ValueError, OSError) as error:
        print(f"erasure: {error}", file=sys.stderr)
        return ExitCode.FAILED


def erase(args: argparse.Namespace) -> int:
    """Lists, removes and searches; the exit code.

    Raises:
        ValueError: if the list is empty, or something must not be removed yet.
        OSError: if a file cannot be read or removed.
    """
    users = frozenset(args.users.read_bytes().splitlines()) - {b""}
    if not users:
        raise ValueError(f"{args.users} must hold a user id a line. Received: none")
    for folder in args.folders:
        if not folder.is_dir():
            raise ValueError(f"folder {folder} does not exist")
    _finish(args.folders)
    found = holders(args.folders, users)
    for holder in found:
        done = "removed" if args.remove else "holds them"
        print(f"{done}: {holder.kind} {holder.path}")
        if args.remove:
            _remove(holder)
    left = files_with(Needles(users), args.folders)
    left = [path for path in left if not path.samefile(args.users)]
    for path in left:
        print(f"holds an id: {path}")
    return ExitCode.FAILED if left or (found and not args.remove) else ExitCode.OK


def _remove(holder: Holder) -> None:
    """Renames first: nobody takes for whole what is half removed."""
    for path in (holder.path, holder.meta):
        if path is not None:
            gone = path.with_name(f"{GONE}{path.name}")
            path.rename(gone)
            shutil.rmtree(gone)


def _finish(folders: Sequence[Path]) -> None:
    """Removes what a stopped removal left."""
    for folder in folders:
        for path in sorted(folder.rglob(f"{GONE}*")):
            shutil.rmtree(path)


if __name__ == "__main__":
    sys.exit(main())
