"""`python -m pipelines.tune`: searches a model's settings on a dataset."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from s4rec_tf.exit_codes import ExitCode, of_signal

if TYPE_CHECKING:
    from pipelines.tune.study import Study
    from pipelines.tune.trials import TrialRunner
    from s4rec_tf.runs.config import ExperimentConfig
    from s4rec_tf.search_ranges import SearchRange

_MOST_FAILURES = 3
"""Trials that may fail in a row before the command gives up."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The checked command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.tune",
        description="Searches settings by TPE and stops trials that stay below the "
        "median of the others after an epoch. If interrupted, rerun the command; it "
        "resumes. Several processes may work on one folder. Writes OUTPUT/best.yaml, "
        "which `train --config` takes, trials.md, and report.html with importance and "
        "history.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="finished dataset folder")
    add("--model", help="model whose declared ranges are searched, such as s4rec")
    add("--config", help="configuration to start from: a shipped one, or a file")
    add(
        "--set",
        action="append",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of every trial, which are not searched; repeatable",
    )
    add("--keys", metavar="KEY,..", help="search these settings alone (default: all)")
    add("--trials", type=int, default=40, help="trials of the search, in all (40)")
    add("--minutes", type=float, help="stop after so many minutes (default: never)")
    add("--seed", type=int, default=0, help="of the sampler (0)")
    add("--output", type=Path, help="folder (out/tune/DATASET_MODEL)")
    args = parser.parse_args(argv)
    if not (args.model or args.config):
        parser.error("--model is required, or a --config that names one")
    if args.trials < 1:
        parser.error(f"--trials must be at least 1. Received: {args.trials}")
    if args.minutes is not None and not args.minutes > 0:
        parser.error(f"--minutes must be positive. Received: {args.minutes}")
    args.set = [override for group in args.set for override in group]
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    limit = float("inf") if args.minutes is None else 60 * args.minutes
    deadline = time.monotonic() + limit
    _prepare_process()
    from s4rec_tf.runs import config

    try:
        base = config.resolve(args.model, args.config, args.set)
        ranges = searched_ranges(base, args.keys, args.set)
    except config.ConfigError as error:
        print(f"tune: {error}", file=sys.stderr)
        return ExitCode.USAGE
    try:
        return _search(args, base, ranges, deadline)
    except (ValueError, OSError) as error:
        print(f"tune: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("tune: stopped; the same command resumes", file=sys.stderr)
        return ExitCode.INTERRUPTED


def searched_ranges(
    base: ExperimentConfig, keys: str | None, fixed: list[str]
) -> dict[str, SearchRange]:
    """The ranges that the settings of a configuration declare and nothing excludes.

    Args:
        base: the configuration.
        keys: names with commas between that are searched; None for all.
        fixed: "key=value" each, which are not searched.

    Raises:
        ConfigError: if a key has no range or none is left.
    """
    from s4rec_tf.runs.config import ConfigError
    from s4rec_tf.search_ranges import ranges_of

    ranges = ranges_of(type(base.model_settings))
    if not ranges:
        raise ConfigError(f"{base.model} declares no range to search")
    ranges |= ranges_of(type(base.data)) | ranges_of(type(base.train))
    chosen = list(ranges) if keys is None else [k.strip() for k in keys.split(",")]
    for key in chosen:
        if key not in ranges:
            raise ConfigError(
                f"--keys must be some of {', '.join(ranges)}. Received: {key!r}"
            )
    set_ones = {override.partition("=")[0] for override in fixed}
    if not (left := [key for key in chosen if key not in set_ones]):
        raise ConfigError("nothing is left to search: --set fixes every key")
    return {key: ranges[key] for key in left}


def _search(
    args: argparse.Namespace,
    base: ExperimentConfig,
    ranges: dict[str, SearchRange],
    deadline: float,
) -> int:
    from pipelines.tune.study import Study
    from pipelines.tune.trials import TrialRunner
    from s4rec_tf.search_ranges import contains
    from s4rec_tf.spec import DatasetDir

    settings = base.flat()
    name = f"{args.dataset.resolve().name}_{base.model}"
    study = Study(args.output or Path("out/tune") / name, ranges, args.seed)
    first = {key: settings[key] for key in ranges}
    if not all(contains(ranges[key], value) for key, value in first.items()):
        first = {}
    subject: dict[str, Any] = {
        "dataset_fingerprint": DatasetDir(args.dataset).fingerprint(),
        **{key: value for key, value in settings.items() if key not in ranges},
        **{f"range of {key}": str(declared) for key, declared in ranges.items()},
    }
    study.open(subject, first or None)
    runner = TrialRunner(args.dataset, settings, deadline)
    return _work(study, runner, args.trials, f"Search of {base.model}")


def _work(study: Study, runner: TrialRunner, most: int, title: str) -> int:
    """Runs trials until all have begun, the time is up, or they only fail."""
    import optuna

    from pipelines.tune import results
    from pipelines.tune.trials import OutOfTime, TrialFailed

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    failures = 0
    while failures < _MOST_FAILURES and time.monotonic() < runner.deadline:
        try:
            with study.next_trial(most) as taken:
                if taken is None:
                    break
                print(f"{taken[1]}: {taken[0].params}", flush=True)
                print(f"  {runner.run(*taken)}", flush=True)
                failures = 0
        except TrialFailed as reason:
            print(f"tune: {reason}", file=sys.stderr)
            failures += 1
        except OutOfTime:
            print("  the time is up; the same command resumes", flush=True)
        with study.alone():
            results.write_results(study.load(), study.root, runner.settings, title)
    if failures:
        print(f"tune: the last {failures} trials failed", file=sys.stderr)
        return ExitCode.FAILED
    if (best := results.best_trial(study.load())) is None:
        print("no trial has finished")
    else:
        winner = study.root / results.WINNER
        print(f"best validation NDCG@20 {best.value:.4f}: {winner}")
    return ExitCode.OK


def _prepare_process() -> None:
    from pipelines.processes import QUIET

    signal.signal(signal.SIGTERM, _leave)
    os.environ.update({name: os.environ.get(name, QUIET[name]) for name in QUIET})


def _leave(number: int, _: FrameType | None) -> None:
    """Lets the blocks that own the trial offer it again."""
    sys.exit(of_signal(number))


if __name__ == "__main__":
    sys.exit(main())
