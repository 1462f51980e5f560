"""The command line of the data job, checked before a pipeline exists."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from beam_jobs.defaults import CORE_ROUNDS, MAX_ACTIONS_PER_USER, MAX_BAD_SHARE
from beam_jobs.erasure import Erasure
from beam_jobs.logs.flags import add_format_flags, check_format_flags, format_options
from beam_jobs.logs.format_options import Columns, FormatOptions
from beam_jobs.logs.interactions import BadRecord, time_from_text
from beam_jobs.logs.selection import Selection
from beam_jobs.splits import FILES, GLOBAL_TIME, KINDS, LEAVE_ONE_OUT, SplitRule
from beam_jobs.storage.files import as_path
from s4rec_tf.spec import DatasetDir

ALLOWABLE = ("drift", "swapped_columns")


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """The options of the job.

    Attributes:
        inputs: globs of log files; those for training where files make the split.
        valid_inputs: globs of log files whose actions are for validation.
        test_inputs: globs of log files whose actions are for the test.
        split_rule: how sequences are divided.
        format_options: how the logs are read.
        ties: order of a user's actions at one time, "item_id" or "hash"; None for that
            of the format.
        output: the dataset folder to be made.
        k_core: least number of actions of every user and item.
        selection: which valid actions count.
        max_bad_share: share of bad lines above which the job fails.
        max_actions_per_user: newest actions of a user that count.
        core_rounds: k-core rounds in the job's pipeline.
        max_rounds: k-core rounds after which it is an error not to be done.
        num_shards: shards of every split; None leaves it to the job.
        previous_statistics: a finished dataset whose statistics to compare with.
        previous: a finished dataset whose actions to go on from, or None.
        item_ids_from: a dataset whose item ids to keep, or None.
        erasure: whose actions to drop.
        min_rows_share: share of a log's usual rows that an increment must have.
        allow: checks that may fail, of `ALLOWABLE`.
        beam_flags: the flags meant for Beam.
        quiet: say nothing but errors.
        json: print the dataset's counts at the end.
    """

    inputs: tuple[str, ...]
    valid_inputs: tuple[str, ...]
    test_inputs: tuple[str, ...]
    split_rule: SplitRule
    format_options: FormatOptions
    ties: Literal["item_id", "hash"] | None
    output: Path
    k_core: int
    selection: Selection
    max_bad_share: float
    max_actions_per_user: int
    core_rounds: int
    max_rounds: int
    num_shards: int | None
    previous_statistics: Path | None
    previous: Path | None
    item_ids_from: Path | None
    erasure: Erasure
    min_rows_share: float
    allow: tuple[str, ...]
    beam_flags: tuple[str, ...]
    quiet: bool = False
    json: bool = False

    @property
    def format(self) -> str:
        """The value of `--format`."""
        return self.format_options.format

    @property
    def columns(self) -> Columns | None:
        """The columns that `--columns` names."""
        return self.format_options.columns

    @property
    def pinned_vocabulary(self) -> Path | None:
        """The file of the items whose ids are given."""
        root = self.item_ids_from
        return None if root is None else DatasetDir(root).item_vocab

    def settings(self) -> dict[str, object]:
        """The options that determine the dataset, for `dataset.json`; no paths."""
        return {
            **self.format_options._asdict(),
            "ties": self.ties,
            "k_core": self.k_core,
            "since_ms": self.selection.since_ms,
            "until_ms": self.selection.until_ms,
            "min_rating": self.selection.min_rating,
            "max_bad_share": self.max_bad_share,
            "max_actions_per_user": self.max_actions_per_user,
            "num_shards": self.num_shards,
            "split": self.split_rule.kind,
            "valid_from_ms": self.split_rule.valid_from_ms,
            "test_from_ms": self.split_rule.test_from_ms,
        }


def _at_least_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more. Received: {text!r}")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1. Received: {text!r}")
    return number


def _time(text: str) -> int:
    try:
        return time_from_text(text, "auto")
    except BadRecord:
        raise argparse.ArgumentTypeError(
            f"must be an ISO date, date and time, or unix seconds. Received: {text!r}"
        ) from None


def _output(text: str) -> Path:
    if any(sign in text for sign in "*?["):
        raise argparse.ArgumentTypeError(
            "must hold none of *, ? and [, which Beam takes for a pattern; write to "
            f"another folder and rename it. Received: {text!r}"
        )
    return as_path(text)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m beam_jobs.prepare_dataset",
        description="Raw interaction logs -> a dataset folder.",
        epilog="Any other flag must be one of Beam's pipeline options, such as "
        "--runner. Without it the job runs on this machine, in its own process and, "
        "where the logs are large, in one more for each core; --runner=FnApiRunner "
        "keeps it to one process.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--input",
        nargs="+",
        default=[],
        metavar="GLOB",
        help="log files, plain, gzip or Parquet; with --previous those that are new",
    )
    add(
        "--output",
        required=True,
        type=_output,
        metavar="DIR",
        help="must not exist yet; as all paths here, local, gs://... or s3://...",
    )
    add_format_flags(parser)
    add(
        "--k_core",
        type=_at_least_one,
        default=5,
        help="least number of actions of every user and item; 1 keeps all "
        "(default %(default)s)",
    )
    add(
        "--split",
        choices=KINDS,
        default=LEAVE_ONE_OUT,
        help="what is held back: each user's last two actions (default), what happened "
        "from two moments on, or what stands in files of its own",
    )
    for split in ("valid", "test"):
        add(
            f"--{split}_from",
            type=_time,
            metavar="TIME",
            help=f"first time of {split}, for --split global_time",
        )
        add(
            f"--{split}_input",
            nargs="+",
            default=[],
            metavar="GLOB",
            help=f"log files of {split}, for --split files",
        )
    add("--since", type=_time, metavar="TIME", help="first time, inclusive")
    add("--until", type=_time, metavar="TIME", help="last time, exclusive")
    add("--min_rating", type=float, help="least rating; a record without one is bad")
    add(
        "--max_bad_share",
        type=_share,
        default=MAX_BAD_SHARE,
        help="share of bad lines above which the job fails (default %(default)s)",
    )
    add(
        "--max_actions_per_user",
        type=_at_least_one,
        default=MAX_ACTIONS_PER_USER,
        help="newest actions of a user that count (default %(default)s)",
    )
    add(
        "--core_rounds",
        type=_at_least_one,
        default=CORE_ROUNDS,
        help="k-core rounds in the job's pipeline (default %(default)s); a log that "
        "needs more takes a second pipeline",
    )
    add(
        "--max_rounds",
        type=_at_least_one,
        default=200,
        help="k-core rounds after which the job fails (default %(default)s)",
    )
    add(
        "--num_shards",
        type=_at_least_one,
        help="shards of every split (default: of about 64 MiB; of small datasets one "
        "per 1,000 users, at most four)",
    )
    add(
        "--previous_statistics",
        type=as_path,
        metavar="DIR",
        help="a finished dataset; drift against its statistics stops the job (default: "
        "that of --previous)",
    )
    add(
        "--previous",
        type=as_path,
        metavar="DIR",
        help="a finished dataset to go on from: its actions count beside those of "
        "--input, its items keep their ids, new ones follow",
    )
    add(
        "--item_ids_from",
        type=as_path,
        metavar="DIR",
        help="a finished dataset whose items keep their ids (default: that of "
        "--previous)",
    )
    for name in ("users", "items"):
        add(
            f"--erase_{name}",
            type=as_path,
            metavar="FILE",
            help=f"raw ids of {name}, one a line, whose actions are dropped",
        )
    add(
        "--min_rows_share",
        type=_share,
        default=0.2,
        help="share of the usual rows that a new day's log must have; 0 lets any "
        "through (default %(default)s)",
    )
    add(
        "--allow",
        nargs="+",
        choices=ALLOWABLE,
        default=[],
        help="checks against the dataset before that do not stop the job; drift is "
        "reported nevertheless",
    )
    add("--quiet", action="store_true", help="print nothing but errors")
    add(
        "--json",
        action="store_true",
        help="print the finished dataset and its counts as one JSON object",
    )
    return parser


def parse_args(argv: Sequence[str]) -> JobOptions:
    """The options of a command line; prints and exits with 2 if it is wrong.

    Flags that are not the job's own are left to `beam_flags.checked_beam_flags`.
    """
    parser = _make_parser()
    args, beam_flags = parser.parse_known_args(argv)
    if args.since is not None and args.until is not None and args.since >= args.until:
        parser.error("argument --since: must be before --until")
    check_format_flags(parser, args)
    _check_split(parser, args)
    if not args.input and args.previous is None:
        parser.error("the following arguments are required: --input")
    return JobOptions(
        inputs=tuple(args.input),
        valid_inputs=tuple(args.valid_input),
        test_inputs=tuple(args.test_input),
        split_rule=SplitRule(args.split, args.valid_from, args.test_from),
        format_options=format_options(args),
        ties=args.ties,
        output=args.output,
        k_core=args.k_core,
        selection=Selection(args.since, args.until, args.min_rating),
        max_bad_share=args.max_bad_share,
        max_actions_per_user=args.max_actions_per_user,
        core_rounds=args.core_rounds,
        max_rounds=args.max_rounds,
        num_shards=args.num_shards,
        previous_statistics=args.previous_statistics or args.previous,
        previous=args.previous,
        item_ids_from=args.item_ids_from or args.previous,
        erasure=Erasure(args.erase_users, args.erase_items),
        min_rows_share=args.min_rows_share,
        allow=tuple(args.allow),
        beam_flags=tuple(beam_flags),
        quiet=args.quiet,
        json=args.json,
    )


def _check_split(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    needed = {
        LEAVE_ONE_OUT: (),
        GLOBAL_TIME: ("valid_from", "test_from"),
        FILES: ("valid_input", "test_input"),
    }
    for kind, names in needed.items():
        for name in names:
            is_given = getattr(args, name) not in (None, [])
            if is_given != (kind == args.split):
                verb = "means nothing to" if is_given else "is needed by"
                parser.error(f"argument --{name}: {verb} --split {args.split}")
    if args.split == GLOBAL_TIME and args.valid_from >= args.test_from:
        parser.error("argument --valid_from: must be before --test_from")
    if args.split == FILES and args.previous is not None:
        parser.error("argument --previous: means nothing to --split files")
