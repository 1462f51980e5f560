"""Prints a dataset back in raw ids: `python -m beam_jobs.show DIR`.

One line a user, sorted by user id as bytes: `user TAB item item ...`, oldest first, all
splits joined. Reads without TensorFlow, since that alone takes ten seconds to import.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from beam_jobs.sequences import UserSequence, to_sequence_line
from beam_jobs.sinks.encoding import DamagedRecords, parse_example, read_records
from beam_jobs.storage.files import as_path, remote
from beam_jobs.storage.remote_path import set_flags
from s4rec_tf import spec
from s4rec_tf.exit_codes import ExitCode


class _UserSplit(NamedTuple):
    """A user's example of one split; in order of user, then of split."""

    user: bytes
    split_number: int
    item_ids: list[int]
    target_ids: list[int]


def _read_shard(split_number: int, path: Path) -> Iterator[_UserSplit]:
    for record in read_records(path):
        features = parse_example(record)
        yield _UserSplit(
            features[spec.USER_ID][0],
            split_number,
            features[spec.ITEM_IDS],
            features.get(spec.TARGET_ID, []),
        )


def read_dataset(dataset: spec.DatasetDir) -> Iterator[UserSequence]:
    """All users of a dataset and their items, sorted by user id as bytes.

    Raises:
        DatasetError: if the dataset is unfinished, damaged or of another format.
        DamagedRecords: if a shard is damaged.
    """
    dataset.verify()
    items = [item.encode() for item in dataset.vocabulary()]
    shards = [
        _read_shard(number, path)
        for number, split in enumerate(spec.SPLITS)
        for path in dataset.shards(split)
    ]
    merged = heapq.merge(*shards)
    for user, examples in itertools.groupby(merged, lambda example: example.user):
        # The last split's example holds what is in those before it.
        *_, last = examples
        ids = [*last.item_ids, *last.target_ids]
        yield UserSequence(user, [items[item_id - 1] for item_id in ids])


def show(root: Path) -> None:
    """Prints a dataset on standard output; see `read_dataset` for errors."""
    for sequence in read_dataset(spec.DatasetDir(root)):
        sys.stdout.buffer.write(to_sequence_line(sequence) + b"\n")
    sys.stdout.buffer.flush()


def run(argv: Sequence[str]) -> int:
    """The exit status of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m beam_jobs.show",
        description="Print a dataset: user TAB item item ..., oldest first.",
        allow_abbrev=False,
    )
    parser.add_argument("dataset", type=as_path, metavar="DIR", help="a dataset folder")
    args = parser.parse_args(argv)
    try:
        if remote(args.dataset):
            set_flags([])
        show(args.dataset)
    except (spec.DatasetError, DamagedRecords) as error:
        print(f"show: error: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except BrokenPipeError:
        # The reader has had enough; what is buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.OK


def main() -> None:
    """Entry point of `python -m beam_jobs.show`."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
