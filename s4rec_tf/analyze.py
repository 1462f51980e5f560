"""`python -m s4rec_tf.analyze`: what a run's embeddings know of users' lengths."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s4rec_tf import spec

if TYPE_CHECKING:
    from s4rec_tf.config import ExperimentConfig
    from s4rec_tf.data.sequences import Sequences
    from s4rec_tf.embedding_map import EmbeddingMap
    from s4rec_tf.layers.clusters import Spread
    from s4rec_tf.models.base import SequenceRecommender

NUM_CLUSTERS = 128
"""K of the K-means that makes models without prototypes comparable."""

MAP_NAME = "embedding_map.npz"

Findings = dict[str, float]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.analyze",
        allow_abbrev=False,
        description="Probes the sequence embeddings of a run's best checkpoint: how "
        "well a linear classifier tells head users by them, and how evenly head users "
        "spread over clusters, those of K-means and the model's own. Prints a table; "
        "the last line is one JSON object, also written to "
        "RUN_DIR/evaluation/analysis.json with the head rate of every cluster; beside "
        "it embedding_map.npz, some users' embeddings laid out in the plane by t-SNE.",
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset folder of the run")
    add("--run_dir", type=Path, required=True, help="run folder of the training")
    add("--split", choices=("test", "valid"), default="test", help="default: test")
    add("--seed", type=int, default=0, help="of the folds and of K-means; default: 0")
    add(
        "--gradients",
        action="store_true",
        help="add the size of every loss term's gradient on what the next-item loss "
        "trains, for one training batch",
    )
    return parser.parse_args(argv)


def probe_findings(embeddings: np.ndarray, is_head: np.ndarray, seed: int) -> Findings:
    """How well head users are told by their embeddings, out of fold.

    Args:
        embeddings: z, one row a user [N, d].
        is_head: bool [N].
        seed: of the folds.
    """
    from s4rec_tf import probe

    logits = probe.out_of_fold_logits(embeddings, is_head, seed)
    share = float(is_head.mean())
    return {
        "probe_auc": probe.area_under_curve(logits, is_head),
        "probe_accuracy": float(np.mean((logits > 0) == is_head)),
        "majority_accuracy": max(share, 1 - share),
    }


def cluster_spreads(
    model: SequenceRecommender,
    embeddings: np.ndarray,
    is_head: np.ndarray,
    seed: int,
) -> dict[str, Spread]:
    """How users spread over K-means' clusters, and over the model's own if it has any.

    Returns:
        by "kmeans" and "prototypes".
    """
    from s4rec_tf.layers import clusters

    generator = np.random.default_rng(seed)
    centroids = clusters.kmeans(embeddings, NUM_CLUSTERS, generator)
    found = {"kmeans": (clusters.nearest(embeddings, centroids), NUM_CLUSTERS)}
    own = model.clusters(embeddings)
    if own is not None:
        found["prototypes"] = (own, model.settings.num_intents)
    return {
        name: clusters.Spread.of(members, is_head, count)
        for name, (members, count) in found.items()
    }


def analyze_model(
    model: SequenceRecommender, users: Sequences, seed: int
) -> tuple[Findings, dict[str, Spread]]:
    """What a model's sequence embeddings of a split know of users' lengths.

    Args:
        model: as trained.
        users: a split of N users.
        seed: of the folds and of K-means.

    Returns:
        the probe's findings and the quartiles of the head rate over clusters; and the
        clusters, as `cluster_spreads` has them.
    """
    from s4rec_tf import encoding

    embeddings = encoding.embed_users(model, users)
    return analyze_embeddings(model, embeddings, users.is_head, seed)


def analyze_embeddings(
    model: SequenceRecommender,
    embeddings: np.ndarray,
    is_head: np.ndarray,
    seed: int,
) -> tuple[Findings, dict[str, Spread]]:
    """As `analyze_model`, of embeddings z [N, d] of users with `is_head` bool [N]."""
    findings = probe_findings(embeddings, is_head, seed)
    spreads = cluster_spreads(model, embeddings, is_head, seed)
    for name, spread in spreads.items():
        findings[f"{name}_perplexity"] = spread.perplexity()
        for key, value in spread.head_rate_quartiles().items():
            findings[f"{name}_{key}"] = value
    return findings, spreads


def gradient_findings(
    model: SequenceRecommender, config: ExperimentConfig, train: Sequences
) -> Findings:
    """Weighted gradients of the loss terms on the weights that L_SR trains.

    Args:
        model: as trained.
        config: of the run.
        train: the train split, of which one batch is taken.

    Returns:
        `gradient_TERM`, the Euclidean norm over all these weights, and
        `cosine_TERM`, that of the angle with the next-item loss's gradient.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(config.train.seed)
    batch = _first_batch(model, config, train)
    weights = model.scheduled_weights()
    with tf.GradientTape(persistent=True) as tape:
        terms = model.loss_terms(batch, model(batch, training=True))
        weighted = {name: weights[name] * value for name, value in terms.items()}
    variables = model.trainable_weights
    base = tape.gradient(weighted["next_item"], variables)
    shared = [v for v, g in zip(variables, base, strict=True) if g is not None]
    flat = {}
    for name, value in weighted.items():
        parts = tape.gradient(value, shared, unconnected_gradients="zero")
        flat[name] = np.concatenate([tf.reshape(part, [-1]).numpy() for part in parts])
    norms = {name: float(np.linalg.norm(g)) for name, g in flat.items()}
    findings = {f"gradient_{name}": norm for name, norm in norms.items()}
    for name, norm in norms.items():
        product = float(flat[name] @ flat["next_item"])
        findings[f"cosine_{name}"] = product / max(norm * norms["next_item"], 1e-30)
    return findings


def _first_batch(
    model: SequenceRecommender, config: ExperimentConfig, train: Sequences
) -> dict[str, Any]:
    from s4rec_tf.data import batches
    from s4rec_tf.data.samples import suitable_batch_size, training_samples

    samples = training_samples(train, config.data.samples, model.max_length)
    size = config.train.batch_size or suitable_batch_size(len(samples))
    made = batches.training_batches(
        train,
        samples,
        model.batch_needs(),
        config.data,
        model.num_items,
        size,
        config.train.seed,
    )
    return dict(next(iter(made)))


def write_analysis(
    run_dir: Path, split: str, findings: Findings, spreads: dict[str, Spread]
) -> None:
    """Writes `evaluation/analysis.json` of a run folder.

    `findings` is what was printed; `clusters` holds, for "kmeans" and "prototypes", the
    number of users and of head users in every cluster.
    """
    from s4rec_tf.train import runs

    counts = {
        name: {"users": spread.users.tolist(), "heads": spread.heads.tolist()}
        for name, spread in spreads.items()
    }
    folder = run_dir / "evaluation"
    folder.mkdir(exist_ok=True)
    content = {"split": split, "findings": findings, "clusters": counts}
    runs.write_json(folder / "analysis.json", content)


def write_map(run_dir: Path, found: EmbeddingMap) -> None:
    """Writes `evaluation/embedding_map.npz` of a run folder, the map's two arrays."""
    path = run_dir / "evaluation" / MAP_NAME
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as stream:
        np.savez_compressed(stream, places=found.places, is_head=found.is_head)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def analyze(args: argparse.Namespace) -> Findings:
    """Measures a run, and writes what was found.

    Raises:
        ValueError: if the run or the dataset cannot be used.
    """
    dataset = spec.DatasetDir(args.dataset)
    dataset.verify()
    if not args.run_dir.is_dir():
        raise ValueError(f"run folder {args.run_dir} does not exist")
    from s4rec_tf import encoding
    from s4rec_tf.data import records
    from s4rec_tf.embedding_map import embedding_map
    from s4rec_tf.train import runs

    model, run = runs.restore_best(args.run_dir, dataset)
    users = records.read_split(dataset, args.split)
    embeddings = encoding.embed_users(model, users)
    findings, spreads = analyze_embeddings(model, embeddings, users.is_head, args.seed)
    if args.gradients and model.trainable_weights:
        train = records.read_split(dataset, "train")
        findings |= gradient_findings(model, run.read_config(), train)
    write_analysis(args.run_dir, args.split, findings, spreads)
    write_map(args.run_dir, embedding_map(embeddings, users.is_head, args.seed))
    return findings


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        findings = analyze(args)
    except (ValueError, OSError) as error:
        print(f"analyze: {error}", file=sys.stderr)
        return 1
    width = max(map(len, findings))
    for name, value in findings.items():
        print(f"{name.ljust(width)}  {value:.4f}")
    print(json.dumps(findings, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
