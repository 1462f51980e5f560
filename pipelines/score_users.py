"""`python -m pipelines.score_users`: recommendations for all users, into files."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s4rec_tf import spec
from s4rec_tf.exit_codes import ExitCode

_SECONDS_A_USER = 1e-3
"""Roughly, for deciding how many processes are worth their start."""


class ScoringError(ValueError):
    """Users that cannot be scored: the reason is in the message."""


def parse_args(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The command line, and the flags that are left to Beam."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.score_users",
        allow_abbrev=False,
        description="Answers all users of a dataset by an export: JSON lines of user, "
        "items and scores, as a server would answer their whole history. Flags that "
        "are not listed are Beam's, such as --runner.",
    )
    add = parser.add_argument
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--dataset", type=Path, help="dataset folder, whose users to ask")
    who.add_argument(
        "--histories", metavar="GLOB", help="instead, files of `user TAB item item ...`"
    )
    add(
        "--model",
        type=Path,
        required=True,
        help="BASE/NAME (the newest) or BASE/NAME/N",
    )
    add("--output", type=Path, required=True, help="folder to make")
    add("--k", type=_positive, default=20, help="items for a user; default 20")
    add(
        "--embeddings",
        action="store_true",
        help="write the users' vectors too, for another vector store",
    )
    add(
        "--max_batch_size",
        type=_positive,
        default=256,
        help="users of one run of the model; default 256",
    )
    return parser.parse_known_args(argv)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1. Received: {text}")
    return value


def version_of(model: Path) -> Path:
    """The folder of a version: the model's newest, unless it is one itself.

    Raises:
        ScoringError: if there is none.
    """
    if model.name.isdigit() and (model / "saved_model.pb").is_file():
        return model
    entries = model.iterdir() if model.is_dir() else []
    numbers = [int(entry.name) for entry in entries if entry.name.isdigit()]
    if not numbers:
        raise ScoringError(f"--model {model} holds no version of an export")
    return model / str(max(numbers))


def score(args: argparse.Namespace, beam_flags: Sequence[str]) -> None:
    """Writes the folder, whole or not at all.

    Raises:
        ScoringError: if the model or the output is none.
        DatasetError: if the dataset cannot be used.
        UsageError: if a flag is neither ours nor Beam's.
    """
    version = version_of(args.model)
    if args.output.exists():
        raise ScoringError(f"--output {args.output} exists")
    dataset = spec.DatasetDir(args.dataset) if args.dataset else None
    if dataset is not None:
        dataset.verify()
    from beam_jobs import runner, scoring
    from beam_jobs.beam_flags import checked_beam_flags

    run = runner.with_flags(checked_beam_flags(beam_flags))
    staged = args.output.with_name(f".incomplete-{args.output.name}")
    shutil.rmtree(staged, ignore_errors=True)

    def wire(pipeline: Any) -> None:
        users = (
            scoring.users_of_dataset(pipeline, dataset)
            if dataset is not None
            else scoring.users_of_lines(pipeline, args.histories)
        )
        handler = scoring.SavedModelHandler(str(version), args.k, args.max_batch_size)
        scoring.write_answers(users, handler, staged, args.embeddings)

    try:
        staged.mkdir(parents=True)
        num_users = dataset.info().num_users if dataset is not None else 0
        run(wire, seconds=_SECONDS_A_USER * num_users)
        staged.rename(args.output)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args, beam_flags = parse_args(argv)
    try:
        score(args, beam_flags)
    except (ValueError, OSError) as error:
        print(f"score_users: {error}", file=sys.stderr)
        return ExitCode.FAILED
    print(args.output)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
