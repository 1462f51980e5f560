"""A bucket of users: distinct actions -> `actions/` and the users' sequences; no Beam.

A bucket holds all actions of its users, and only those, so that dropping duplicates,
ordering and the cap need nothing from elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from beam_jobs.action_records import Action, serialize_action
from beam_jobs.erasure import Erasure
from beam_jobs.records import UserSequence, parse_action_line, to_sequence_line
from beam_jobs.splits import FILES, SplitRule, untagged_time
from beam_jobs.storage.files import new_file, new_gzip_file
from beam_jobs.tfrecord_files import write_record

ACTIONS = "actions"
"""Folder of all valid actions, in the dataset folder."""


class BucketSummary(NamedTuple):
    """What one bucket came to.

    Attributes:
        file: name of the file of its actions.
        users: users with at least one action.
        actions: distinct actions, as written to `actions/`.
        duplicates: actions dropped because (user, item, time) occurred before.
        capped_users: users with more actions than the cap.
        capped_actions: their oldest actions, which count no further.
        erased: actions dropped because their user or item is to be erased.
        conflict: a user with two items at the same position, in logs whose order is
            the time; None if there is none, or where times are times.
    """

    file: str
    users: int
    actions: int
    duplicates: int
    capped_users: int
    capped_actions: int
    erased: int
    conflict: str | None


def distinct_lines(batches: Iterable[bytes]) -> tuple[list[bytes], int]:
    """The distinct lines of all batches in order, and the number of duplicates.

    Args:
        batches: action lines, each with its end.
    """
    distinct: set[bytes] = set()
    num_lines = 0
    for batch in batches:
        lines = batch.split(b"\n")[:-1]
        num_lines += len(lines)
        distinct.update(lines)
    return sorted(distinct), num_lines - len(distinct)


def write_bucket(
    batches: Iterable[bytes],
    actions_path: Path,
    sequences_path: Path,
    max_actions_per_user: int,
    order_is_time: bool,
    erasure: Erasure,
    split_rule: SplitRule,
) -> BucketSummary:
    """Writes a bucket's actions, and its users' newest ones as sequences.

    Args:
        batches: the bucket's action lines, in any order, each with its end.
        actions_path: TFRecord file of all distinct actions.
        sequences_path: text file of sequence lines, in order of the user's id.
        max_actions_per_user: number of newest actions that count.
        order_is_time: whether times are positions within a line of the log.
        erasure: whose actions are dropped.
        split_rule: how sequences are divided.
    """
    lines, duplicates = distinct_lines(batches)
    erased = 0
    if not erasure.is_empty:
        kept_lines = [line for line in lines if not erasure.concerns(line)]
        lines, erased = kept_lines, len(lines) - len(kept_lines)
    users = written = capped_users = capped_actions = 0
    conflict = None
    with (
        # Read once a day at most: a quick compression is the better bargain.
        new_gzip_file(actions_path, compression=1) as actions,
        new_file(sequences_path) as sequences,
    ):
        for user, group in itertools.groupby(map(parse_action_line, lines), _user_of):
            user_actions = list(group)
            if split_rule.kind == FILES:
                first_ones = _first_of_each(user_actions)
                duplicates += len(user_actions) - len(first_ones)
                user_actions = first_ones
            written += len(user_actions)
            for action in user_actions:
                write_record(actions, serialize_action(action))
            if order_is_time and conflict is None and _has_conflict(user_actions):
                conflict = user.decode()
            kept = user_actions[-max_actions_per_user:]
            cuts = split_rule.cuts([time for _, time, _ in kept])
            sequence = UserSequence(user, [item for _, _, item in kept], cuts)
            sequences.write(to_sequence_line(sequence) + b"\n")
            users += 1
            capped_users += len(kept) < len(user_actions)
            capped_actions += len(user_actions) - len(kept)
    return BucketSummary(
        actions_path.name,
        users,
        written,
        duplicates,
        capped_users,
        capped_actions,
        erased,
        conflict,
    )


def _first_of_each(actions: list[Action]) -> list[Action]:
    """Leaves out what stands in an earlier split already: it is no target."""
    seen: dict[tuple[int, bytes], Action] = {}
    for action in actions:
        seen.setdefault((untagged_time(action[1]), action[2]), action)
    return list(seen.values())


def _user_of(action: Action) -> bytes:
    return action[0]


def _has_conflict(actions: list[Action]) -> bool:
    return any(a[1] == b[1] for a, b in itertools.pairwise(actions))
