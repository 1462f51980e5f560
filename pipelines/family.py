"""Runs of many models on one dataset, by the experiments' runner and its ledger."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.experiments.ledger import DEFAULT_LEDGER
from pipelines.experiments.queue_files import (
    DATASETS,
    MAIN,
    QueueError,
    Run,
    resolve_run,
)
from s4rec_tf.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipelines.experiments.training_backends import Backend
    from pipelines.report.groups import Group

ALL = "all"


def add_flags(parser: argparse.ArgumentParser, output: str) -> None:
    """The flags that say what is run, and where.

    Args:
        parser: gets them.
        output: default of `--output`, where NAME stands for the dataset's.
    """
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset folder, or an .npz file")
    add("--models", default=ALL, help="names with commas between, or all (all)")
    add("--seeds", type=int, default=1, help="each model runs with seeds 1 to N (1)")
    add(
        "--recipes",
        metavar="NAME,..",
        help="take the shipped configurations MODEL_NAME, of several names the first "
        "that a model has (default: the dataset's name); a model that has none takes "
        "the code's defaults",
    )
    add("--work", type=Path, default=Path("out/runs"), help="run folders (out/runs)")
    add(
        "--ledger",
        type=Path,
        help=f"finished runs ({DEFAULT_LEDGER} for {', '.join(DATASETS)}; OUTPUT.jsonl "
        "for another dataset)",
    )
    add("--output", type=Path, help=f"files to write, without suffix ({output})")
    add("--minutes", type=float, help="stop after so many minutes (default: never)")
    add(
        "--backend",
        choices=("auto", "tensorflow", "jax"),
        default="auto",
        help="tensorflow: on a dataset folder; jax: on an .npz file; auto: by what "
        "--dataset is",
    )


def check_flags(
    parser: argparse.ArgumentParser, args: argparse.Namespace, output: str
) -> None:
    """Fills in defaults; ends the process if a value is invalid."""
    if args.minutes is not None and not args.minutes > 0:
        parser.error(f"--minutes must be positive. Received: {args.minutes}")
    if args.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {args.seeds}")
    if not args.dataset.exists():
        parser.error(f"--dataset must be there. Received: {args.dataset}")
    args.dataset = args.dataset.absolute()
    name = dataset_name(args.dataset)
    if args.backend == "auto":
        args.backend = "jax" if args.dataset.is_file() else "tensorflow"
    if args.output is None:
        args.output = Path(output.replace("NAME", name))
    if args.ledger is None:
        of_its_own = args.output.with_name(args.output.name + ".jsonl")
        args.ledger = DEFAULT_LEDGER if name in DATASETS else of_its_own


def dataset_name(dataset: Path) -> str:
    """The dataset's name in the ledger: that of the folder or the file."""
    return dataset.stem if dataset.is_file() else dataset.name


def chosen_models(names: str) -> list[str]:
    """The models of `--models`, in the order asked for; imports keras.

    Raises:
        QueueError: naming the models there are.
    """
    from s4rec_tf.models.registry import MODELS

    if names == ALL:
        return sorted(MODELS)
    chosen = [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in MODELS or chosen.count(name) > 1:
            raise QueueError(
                f"--models must be {ALL} or some of {', '.join(sorted(MODELS))}, each "
                f"once. Received: {name!r} in {names!r}"
            )
    return chosen


def chosen_recipes(names: str) -> list[str]:
    """The names of `--recipes`, in the order asked for.

    Raises:
        QueueError: if no model has a configuration of a name.
    """
    from s4rec_tf.runs.config import CONFIG_FOLDER

    chosen = [name.strip() for name in names.split(",")]
    for name in chosen:
        if not name or not any(CONFIG_FOLDER.glob(f"*_{name}.yaml")):
            raise QueueError(
                "--recipes must be names of which a model has a configuration "
                f"MODEL_NAME. Received: {name!r} in {names!r}"
            )
    return chosen


def _shipped(model: str, recipes: Sequence[str]) -> str | None:
    from s4rec_tf.runs.config import CONFIG_FOLDER

    names = [f"{model}_{recipe}" for recipe in recipes]
    return next((n for n in names if (CONFIG_FOLDER / f"{n}.yaml").is_file()), None)


def runs_of(
    args: argparse.Namespace,
    settings: Mapping[str, Any] | None = None,
    variant: str = MAIN,
) -> list[Run]:
    """Every chosen model with every seed, seeds innermost; imports keras.

    Args:
        args: the command line.
        settings: override the configurations.
        variant: what the ledger calls the runs.

    Raises:
        QueueError: if a model, a recipe or a setting is not right.
    """
    name = dataset_name(args.dataset)
    recipes = chosen_recipes(args.recipes) if args.recipes else [name]
    runs = []
    for model in chosen_models(args.models):
        entry = {
            "dataset": name,
            "model": model,
            "config": _shipped(model, recipes),
            "settings": settings or {},
            "variant": variant,
        }
        seeds = range(1, args.seeds + 1)
        runs += [resolve_run(entry, seed, f"--models {model}") for seed in seeds]
    return runs


def run_command(
    name: str,
    args: argparse.Namespace,
    plan: Callable[[], tuple[list[Run], Any]],
    write: Callable[[Backend, Any], None],
) -> int:
    """Runs what is planned and writes the results.

    Args:
        name: of the command, for messages.
        args: its command line.
        plan: the runs, and what `write` shall know of them.
        write: writes the tables of what has finished.

    Returns:
        the exit code.
    """
    from pipelines.experiments.training_backends import begin

    backend = begin(args.backend)
    try:
        runs, planned = plan()
    except QueueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ExitCode.USAGE
    try:
        is_whole = work(args, backend, runs)
        write(backend, planned)
    except (ValueError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("interrupted; rerun the command to resume", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.OK if is_whole else ExitCode.FAILED


def write_files(output: Path, texts: Mapping[str, str]) -> None:
    """Writes `OUTPUT` with every suffix whole or not at all, and prints where."""
    from s4rec_tf.atomic_files import write_bytes

    output.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in texts.items():
        path = output.with_name(output.name + suffix)
        write_bytes(path, text.encode())
        print(path)


def work(args: argparse.Namespace, backend: Backend, runs: Sequence[Run]) -> bool:
    """Runs what the ledger does not have yet.

    Returns:
        whether nothing failed; runs may be left when the time is up.
    """
    from pipelines.experiments.runner import Runner, say

    limit = float("inf") if args.minutes is None else 60 * args.minutes
    deadline = time.monotonic() + limit
    runner = Runner(backend, args.dataset.parent, args.work, args.ledger, deadline)
    outcomes = runner.run_all(runs)
    say(", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()))
    return not outcomes["failed"]


def finished_groups(
    args: argparse.Namespace, backend: Backend, runs: Sequence[Run]
) -> list[Group]:
    """The runs that the ledger has, seeds together, in the order of `runs`."""
    from pipelines.experiments import ledger
    from pipelines.report.groups import groups_of

    fingerprint = backend.fingerprint(args.dataset)
    wanted: dict[str, int] = {}
    for run in runs:
        fields = {name: getattr(run, name) for name in ledger.IDENTITY[:6]}
        identity = ledger.identity({**fields, "data_fingerprint": fingerprint})
        wanted[identity] = len(wanted)
    known = ledger.read(args.ledger)
    found = [entry for entry in known if ledger.identity(entry) in wanted]
    groups = groups_of(found)
    return sorted(groups, key=lambda group: wanted[ledger.identity(group.entries[0])])
