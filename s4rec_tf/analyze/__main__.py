"""`python -m s4rec_tf.analyze`: probes, clusters and maps a run's embeddings."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s4rec_tf import spec
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.runs import working_copy

if TYPE_CHECKING:
    from s4rec_tf.models.base import SequenceRecommender
    from s4rec_tf.runs.run_dir import RunDir


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.analyze",
        allow_abbrev=False,
        description="Probes the sequence embeddings of a run's best checkpoint: how "
        "well a linear classifier recognizes head users, and how evenly head users "
        "spread over clusters, those of K-means and the model's own. Prints a table; "
        "the last line is one JSON object, also written to "
        "RUN_DIR/evaluation/analysis.json with the head rate of every cluster; beside "
        "it embedding_map.npz, some users' embeddings laid out in the plane by t-SNE, "
        "examples.json, what some users are answered and each intent likes, and "
        "run.html, all of the run on one page.",
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset folder of the run")
    add(
        "--run_dir",
        type=working_copy.run_folder,
        required=True,
        help="run folder of the training; also gs://... or s3://...",
    )
    add("--split", choices=("test", "valid"), default="test", help="default: test")
    add("--seed", type=int, default=0, help="of the folds and of K-means; default: 0")
    add(
        "--gradients",
        action="store_true",
        help="add the size of every loss term's gradient on what the next-item loss "
        "trains, for one training batch",
    )
    add(
        "--projector",
        action="store_true",
        help="also write the items' vectors for TensorBoard's projector, into "
        "RUN_DIR/tensorboard/items",
    )
    add(
        "--titles",
        type=Path,
        metavar="FILE",
        help="titles of items, for the page and the projector: an item id, a tab and a "
        "title a line",
    )
    add("--json", action="store_true", help="print the JSON object alone")
    return parser.parse_args(argv)


def analyze(args: argparse.Namespace, run_dir: Path) -> dict[str, float]:
    """Measures a run, and writes what was found.

    Args:
        args: of the command line.
        run_dir: the run folder, on this machine.

    Raises:
        ValueError: if the run or the dataset cannot be used.
    """
    dataset = spec.DatasetDir(args.dataset)
    dataset.verify()
    if not run_dir.is_dir():
        raise ValueError(f"run folder {run_dir} does not exist")
    from s4rec_tf.analyze import analysis, examples, run_page
    from s4rec_tf.analyze.embedding_map import embedding_map
    from s4rec_tf.data import records
    from s4rec_tf.ranking import encoding
    from s4rec_tf.runs import restore

    titles = _titles(args)
    model, run = restore.restore_best(run_dir, dataset)
    users = records.read_split(dataset, args.split)
    embeddings = encoding.embed_users(model, users)
    findings, spreads = analysis.analyze_embeddings(
        model, embeddings, users.is_head, args.seed
    )
    if args.gradients and model.trainable_weights:
        from s4rec_tf.analyze.gradients import gradient_findings

        train = records.read_split(dataset, "train")
        findings |= gradient_findings(model, run.read_config(), train)
    analysis.write_analysis(run_dir, args.split, findings, spreads)
    placed = embedding_map(embeddings, users.is_head, args.seed)
    analysis.write_map(run_dir, placed, model.clusters(embeddings))
    vocabulary = dataset.vocabulary()
    examples.write_examples(
        run_dir, examples.examples(model, users, vocabulary, titles, args.seed)
    )
    run_page.write_page(run_dir)
    if args.projector:
        _write_projector(run, model, dataset, titles)
    run.publish()
    return findings


def _titles(args: argparse.Namespace) -> dict[str, str]:
    if not args.titles:
        return {}
    from s4rec_tf.data import titles

    return titles.read_titles(args.titles)


def _write_projector(
    run: RunDir,
    model: SequenceRecommender,
    dataset: spec.DatasetDir,
    titles: dict[str, str],
) -> None:
    import keras

    from s4rec_tf.analyze import projector

    vectors = keras.ops.convert_to_numpy(model.item_vectors())
    folder = run.tensorboard / "items"
    projector.write_projector(folder, vectors, dataset.vocabulary(), titles)
    print(f"tensorboard --logdir {run.tensorboard}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        with working_copy.opened(args.run_dir) as run_dir:
            findings = analyze(args, run_dir)
    except (ValueError, OSError) as error:
        print(f"analyze: {error}", file=sys.stderr)
        return ExitCode.FAILED
    width = max(map(len, findings))
    for name, value in findings.items() if not args.json else ():
        print(f"{name.ljust(width)}  {value:.4f}")
    print(json.dumps(findings, allow_nan=False))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
