"""`python -m pipelines.run_day.blessing`: may a candidate replace what is in service?

Both are measured on the users who acted in the new logs, whose targets are their last
actions. A metric is refused where it falls by more than its threshold and the 95 %
interval of the difference, by a bootstrap over users, lies below 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s4rec_tf.exit_codes import ExitCode

if TYPE_CHECKING:
    import numpy as np

    from pipelines.report.model_differences import Difference
    from s4rec_tf.data.sequences import Sequences

JUDGED = ("NDCG@20", "HR@20")
ALL = "all"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.run_day.blessing",
        description="Compares two evaluations of a dataset's test split, and writes "
        "every comparison with the refusals as JSON.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="both were measured on")
    add("--candidate", type=Path, required=True, help="folder of test_ranks.npz")
    add("--baseline", type=Path, required=True, help="that of what is in service")
    add("--increment", type=Path, help="dataset of the new logs; default: all users")
    add("--previous", type=Path, help="dataset before; others are new users")
    add(
        "--max_drop", type=float, default=0.05, help="share, of all users (%(default)s)"
    )
    add("--max_slice_drop", type=float, default=0.1, help="of a slice (%(default)s)")
    add("--min_users", type=int, default=100, help="of a judged slice (%(default)s)")
    add("--output", type=Path, required=True, help="JSON file to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code, which is 0 for a refusal too."""
    args = parse_args(argv)
    from s4rec_tf.atomic_files import write_json

    try:
        test, groups = slices(args)
        found = compare(args, test, groups)
    except (ValueError, OSError) as error:
        print(f"blessing: {error}", file=sys.stderr)
        return ExitCode.FAILED
    write_json(args.output, found)
    for line in found["refusals"] or ["blessed"]:
        print(line)
    return ExitCode.OK


def slices(args: argparse.Namespace) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The rows of the test split that are judged, int [N], and their slices, bool [N].

    Head, tail and quartiles of length are of these users; `new_users` are those whom
    the dataset before did not hold.
    """
    import numpy as np

    from s4rec_tf.data.records import read_split
    from s4rec_tf.ranking.full_ranking import user_groups
    from s4rec_tf.spec import DatasetDir

    def users(root: Path) -> Sequences:
        return read_split(DatasetDir(root), "train")

    test = read_split(DatasetDir(args.dataset), "test")
    rows = np.arange(len(test))
    if args.increment is not None:
        rows = np.flatnonzero(np.isin(test.user_ids, users(args.increment).user_ids))
    judged = test.take(rows)
    groups = {ALL: np.ones(len(judged), bool), **user_groups(judged)}
    if args.previous is not None:
        known = users(args.previous).user_ids
        groups["new_users"] = ~np.isin(judged.user_ids, known)
    return rows, groups


def compare(
    args: argparse.Namespace, rows: np.ndarray, groups: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Every comparison of slices that have users enough, and the refusals."""
    from pipelines.report.model_differences import group_differences

    many = {name: who for name, who in groups.items() if who.sum() >= args.min_users}
    if ALL not in many:
        return {
            "comparisons": [],
            "refusals": [
                f"at least {args.min_users} users of the new logs must have a target. "
                f"Received: {len(rows)}; --min_users lowers the bound"
            ],
        }
    candidate, baseline = _ranks(args.candidate, rows), _ranks(args.baseline, rows)
    differences = group_differences(candidate, baseline, many)
    found = [difference for difference in differences if difference.metric in JUDGED]
    comparisons = [_described(difference, args) for difference in found]
    return {
        "comparisons": comparisons,
        "refusals": [c["refusal"] for c in comparisons if c["refusal"]],
    }


def _ranks(folder: Path, rows: np.ndarray) -> np.ndarray:
    """Ranks of some users, int [1, N]."""
    import numpy as np

    with np.load(folder / "test_ranks.npz", allow_pickle=False) as stored:
        return stored["ranks"].astype(np.int64)[None, rows]


def _described(found: Difference, args: argparse.Namespace) -> dict[str, Any]:
    most = args.max_drop if found.users == ALL else args.max_slice_drop
    candidate = found.second + found.difference
    against = "by popularity" if args.previous is None else "in service"
    is_worse = found.high < 0 and found.difference < -most * found.second
    text = (
        f"{found.metric} of {found.users} ({found.count:,} users) must not fall by "
        f"more than {most:.0%}: {found.second:.4f} {against}. "
        f"Received: {candidate:.4f} (95 % interval of the difference "
        f"{found.low:+.4f} to {found.high:+.4f})"
    )
    return {
        "metric": found.metric,
        "slice": found.users,
        "users": found.count,
        "candidate": candidate,
        "baseline": found.second,
        "interval": [found.low, found.high],
        "max_drop": most,
        "refusal": text if is_worse else None,
    }


if __name__ == "__main__":
    sys.exit(main())
