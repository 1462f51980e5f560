"""Probe and clusters of a model's sequence embeddings, and the files that keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s4rec_tf import clustering
from s4rec_tf.analyze import probe
from s4rec_tf.analyze.embedding_map import EmbeddingMap
from s4rec_tf.atomic_files import replaced, write_json
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.ranking import encoding

NUM_CLUSTERS = 128
"""K of the K-means that makes models without prototypes comparable."""

MAP_NAME = "embedding_map.npz"

Findings = dict[str, float]


def probe_findings(embeddings: np.ndarray, is_head: np.ndarray, seed: int) -> Findings:
    """Accuracy of a linear probe for head users, out of fold.

    Args:
        embeddings: z, one row a user [N, d].
        is_head: bool [N].
        seed: of the folds.
    """
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
) -> dict[str, clustering.ClusterDistribution]:
    """Distribution of users over K-means' clusters, and over the model's own if any.

    Returns:
        by "kmeans" and "prototypes".
    """
    generator = np.random.default_rng(seed)
    centroids = clustering.kmeans(embeddings, NUM_CLUSTERS, generator)
    found = {"kmeans": (clustering.nearest(embeddings, centroids), NUM_CLUSTERS)}
    own = model.clusters(embeddings)
    if own is not None:
        found["prototypes"] = (own, model.settings.num_intents)
    return {
        name: clustering.ClusterDistribution.of(members, is_head, count)
        for name, (members, count) in found.items()
    }


def analyze_model(
    model: SequenceRecommender, users: Sequences, seed: int
) -> tuple[Findings, dict[str, clustering.ClusterDistribution]]:
    """Probe and clusters of a model's sequence embeddings of a split.

    Args:
        model: as trained.
        users: a split of N users.
        seed: of the folds and of K-means.

    Returns:
        the probe's findings and the quartiles of the head rate over clusters; and the
        clusters, as `cluster_spreads` has them.
    """
    embeddings = encoding.embed_users(model, users)
    return analyze_embeddings(model, embeddings, users.is_head, seed)


def analyze_embeddings(
    model: SequenceRecommender,
    embeddings: np.ndarray,
    is_head: np.ndarray,
    seed: int,
) -> tuple[Findings, dict[str, clustering.ClusterDistribution]]:
    """Analyzes embeddings z [N, d], as `analyze_model`; `is_head` is bool [N]."""
    findings = probe_findings(embeddings, is_head, seed)
    spreads = cluster_spreads(model, embeddings, is_head, seed)
    for name, spread in spreads.items():
        findings[f"{name}_perplexity"] = spread.perplexity()
        for key, value in spread.head_rate_quartiles().items():
            findings[f"{name}_{key}"] = value
    return findings, spreads


def write_analysis(
    run_dir: Path,
    split: str,
    findings: Findings,
    spreads: dict[str, clustering.ClusterDistribution],
) -> None:
    """Writes `evaluation/analysis.json` of a run folder.

    `findings` is what was printed; `clusters` holds, for "kmeans" and "prototypes", the
    number of users and of head users in every cluster.
    """
    counts = {
        name: {"users": spread.users.tolist(), "heads": spread.heads.tolist()}
        for name, spread in spreads.items()
    }
    folder = run_dir / "evaluation"
    folder.mkdir(exist_ok=True)
    content = {"split": split, "findings": findings, "clusters": counts}
    write_json(folder / "analysis.json", content)


def write_map(
    run_dir: Path, found: EmbeddingMap, intents: np.ndarray | None = None
) -> None:
    """Writes `evaluation/embedding_map.npz` of a run folder.

    Args:
        run_dir: the folder.
        found: `places` and `is_head` of the file.
        intents: number of each user's intent, int [N], `intents` of the file.
    """
    stored = {"places": found.places, "is_head": found.is_head}
    if intents is not None:
        stored["intents"] = intents[found.rows]
    with replaced(run_dir / "evaluation" / MAP_NAME) as stream:
        np.savez_compressed(stream, **stored)
