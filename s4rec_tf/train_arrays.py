"""`python -m s4rec_tf.train_arrays`: arrays of a dataset -> a run folder, on JAX."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.train import stop_requests
from s4rec_tf.train.flags import add_run_flags, parse_run_flags

if TYPE_CHECKING:
    from s4rec_tf.data.array_file import ArrayDataset
    from s4rec_tf.runs.config import ExperimentConfig

EVALUATED_SPLITS = ("valid", "test")
ANALYZED_SPLIT = "test"
_BACKEND = "KERAS_BACKEND"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.train_arrays",
        allow_abbrev=False,
        description="Trains a model on JAX, without TensorFlow, from a file of "
        "`python -m s4rec_tf.arrays`, and ranks the validation and test splits with "
        "the best checkpoint. Configuration and run folder are those of `python -m "
        "s4rec_tf.train`. If interrupted, rerun the command; it resumes. For a "
        "finished run it prints so and exits 0.",
    )
    parser.add_argument(
        "--arrays", type=Path, required=True, help=".npz file of the dataset"
    )
    add_run_flags(parser)
    return parse_run_flags(parser, argv)


def check_backend() -> str | None:
    """The problem with the environment, if any; sets the backend if unset."""
    backend = os.environ.setdefault(_BACKEND, "jax")
    if backend != "jax":
        return f"{_BACKEND} must be jax, or unset. Received: {backend!r}"
    for package in ("jax", "keras"):
        if importlib.util.find_spec(package) is None:
            return f"it needs {package}, which is not installed"
    return None


def evaluate_run(
    config: ExperimentConfig, dataset: ArrayDataset, run_dir: Path
) -> None:
    """Writes the results of `s4rec_tf.evaluate` and `.analyze` that are missing.

    Args:
        config: of the run.
        dataset: the arrays.
        run_dir: run folder of a finished training.

    Raises:
        RunError: if another process holds the folder.
    """
    import numpy as np

    from s4rec_tf.analyze import analysis
    from s4rec_tf.evaluate import evaluation, report
    from s4rec_tf.runs import checkpoints, restore
    from s4rec_tf.runs.run_dir import RunDir

    run = RunDir(run_dir)
    with run.lock():
        missing = [
            split
            for split in EVALUATED_SPLITS
            if not (run.root / "evaluation" / f"{split}.json").is_file()
            and len(dataset.splits[split])
        ]
        if not missing:
            return
        model = restore.build_model(config, dataset.info)
        checkpoints.read_checkpoint(run.best, model.weights)
        trained_ids = dataset.splits["train"].values
        counts = np.bincount(trained_ids, minlength=dataset.info.num_items + 1)[1:]
        for split in missing:
            users = dataset.splits[split]
            found = evaluation.evaluate_model(
                model, users, counts if split == "test" else None, list_length=0
            )
            folder = run.root / "evaluation"
            evaluation.write_evaluation(folder, split, found, users.is_head)
            print(f"{split}:\n{report.metrics_table(found.metrics, users)}")
        if ANALYZED_SPLIT in missing:
            users = dataset.splits[ANALYZED_SPLIT]
            findings, spreads = analysis.analyze_model(model, users, seed=0)
            analysis.write_analysis(run.root, ANALYZED_SPLIT, findings, spreads)
        run.publish()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    if problem := check_backend():
        print(f"train_arrays: {problem}", file=sys.stderr)
        return ExitCode.USAGE
    run = stop_requests.run_until_stopped
    return run("train_arrays", lambda stop: _run(args, stop))


def _run(args: argparse.Namespace, stop: stop_requests.StopRequests) -> int:
    from s4rec_tf.runs import config

    try:
        resolved = config.resolve(args.model, args.config, args.set)
    except config.ConfigError as error:
        print(f"train_arrays: {error}", file=sys.stderr)
        return ExitCode.USAGE
    from s4rec_tf.data import array_file
    from s4rec_tf.runs import working_copy
    from s4rec_tf.train import keeping
    from s4rec_tf.train.jax import trainer

    try:
        dataset = array_file.read_arrays(args.arrays)
        kept = keeping.Keeping(args.checkpoint_minutes, args.checkpoint_steps, stop)
        with working_copy.opened_to_train(args.run_dir) as run_dir:
            progress = trainer.train(resolved, dataset, run_dir, kept)
            evaluate_run(resolved, dataset, run_dir)
    except (ValueError, OSError) as error:
        print(f"train_arrays: {error}", file=sys.stderr)
        return ExitCode.FAILED
    print(
        f"best validation NDCG@20 {progress.best_value:.4f} "
        f"in epoch {progress.best_epoch}; run folder {args.run_dir}"
    )
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
