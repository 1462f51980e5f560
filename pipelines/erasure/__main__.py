"""`python -m pipelines.erasure`: removes what holds some users, and searches for more.

Old datasets with any of the users go, and the runs and versions made of these. What
then still holds an id, by its bytes, is named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from s4rec_tf.exit_codes import ExitCode


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.erasure",
        description="Lists the datasets that hold some users, the runs and versions "
        "made of them, and every file that holds an id, inside gzip, TFRecord, zip and "
        "Parquet too. With --remove removes the former first. Exit code 0 means that "
        "nothing is left. Beam's flags, such as --s3_endpoint_url=URL, lead to object "
        "stores.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--users", type=Path, required=True, help="raw user ids, one a line")
    add(
        "folders",
        nargs="+",
        help="of datasets, runs and exports, with all that lies below; gs:// and s3:// "
        "too",
    )
    add("--remove", action="store_true", help="remove what holds them")
    args, beam_flags = parser.parse_known_args(argv)
    args.beam_flags = beam_flags
    if args.beam_flags and not any("://" in folder for folder in args.folders):
        parser.error(f"unrecognized arguments: {' '.join(args.beam_flags)}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    from beam_jobs.beam_flags import UsageError, checked_beam_flags
    from beam_jobs.storage.remote_path import is_remote, set_flags

    try:
        if any(map(is_remote, args.folders)):
            set_flags(checked_beam_flags(args.beam_flags))
        return erase(args)
    except UsageError as error:
        print(f"erasure: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except (ValueError, OSError) as error:
        print(f"erasure: {error}", file=sys.stderr)
        return ExitCode.FAILED


def erase(args: argparse.Namespace) -> int:
    """Lists, removes and searches; the exit code.

    Raises:
        ValueError: if the list is empty, or something must not be removed yet.
        OSError: if a file cannot be read or removed.
    """
    from beam_jobs.storage.files import as_path, remote
    from pipelines.erasure.holders import holders
    from pipelines.erasure.removal import finish, remove
    from pipelines.erasure.search import Needles, files_with

    users = frozenset(args.users.read_bytes().splitlines()) - {b""}
    if not users:
        raise ValueError(f"{args.users} must hold a user id a line. Received: none")
    folders = [as_path(folder) for folder in args.folders]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"folder {folder} does not exist")
    finish(folders)
    found = holders(folders, users)
    # Datasets last: by them a command that was stopped finds the rest again.
    for holder in reversed(found):
        done = "removed" if args.remove else "holds them"
        print(f"{done}: {holder.kind} {holder.path}")
        for path in holder.folders() if args.remove else ():
            if path.exists():  # a command that was stopped has removed the first
                remove(path)
    left = files_with(Needles(users), folders)
    left = [path for path in left if remote(path) or not path.samefile(args.users)]
    for path in left:
        print(f"holds an id: {path}")
    return ExitCode.FAILED if left or (found and not args.remove) else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
