"""The report's figures on length: head and tail users, clusters and embeddings of z."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.experiments.queue_files import MAIN
from pipelines.report.cells import HEAD_TAIL, Published, published_number
from pipelines.report.groups import Group, best, spread
from s4rec_tf.report_page.blocks import Block, Figure, Paragraph, Table
from s4rec_tf.report_page.figures import Plot, bar_chart, box_plot, scatter_plot

_QUANTILES = ("min", "q25", "median", "q75", "max")
HEAD_RATES = [f"kmeans_head_rate_{name}" for name in _QUANTILES]
"""Findings on the share of head users in the clusters of K-means."""


def head_tail_figure(groups: Sequence[Group], released: Sequence[Published]) -> Block:
    """Fig. 4: head and tail users, ours beside the released checkpoints."""
    metrics = [f"{who}/{name}" for name in ("HR@5", "NDCG@5") for who in HEAD_TAIL]
    series: dict[str, list[tuple[str, float]]] = {}
    for model in ("sasrec", "s4rec"):
        if group := best(groups, model):
            values = [(name, group.mean(name)) for name in metrics]
            series[f"{model}, ours"] = [(n, v) for n, v in values if v is not None]
    if not series:
        return Paragraph("No finished main run of sasrec or s4rec.")
    for row in released:
        cells = [(name, *name.split("/")) for name in metrics]
        series[row["method"]] = [
            (name, row[who][metric]) for name, who, metric in cells
        ]
    series = {name: points for name, points in series.items() if points}
    header = ["model", *metrics]
    rows = [
        [n, *(published_number(v) for _, v in points)] for n, points in series.items()
    ]
    title = "Head and tail users, test (Fig. 4)"
    return Figure(title, bar_chart(series), Table(header, rows))


def head_rate_figure(groups: Sequence[Group], released: Sequence[Published]) -> Block:
    """Fig. 3: the share of head users over 128 K-means clusters of z, and the probe."""
    series: dict[str, list[float]] = {}
    probes: dict[str, list[float]] = {}
    for label, model, variant in _PROBED:
        group = best(groups, model, variant)
        if group is None or not group.finding(HEAD_RATES[0]):
            continue
        series[label] = [statistics.fmean(group.finding(name)) for name in HEAD_RATES]
        probes[label] = group.finding("probe_auc")
    if not series:
        return Paragraph("No probed run.")
    for row in released:
        series[row["method"]] = row["head_rate"]
        probes[row["method"]] = [row["probe_auc"]] if "probe_auc" in row else []
    header = ["model", "AUC of the head-tail probe", *_QUANTILES]
    rows = [
        [name, spread(probes[name], 3), *(f"{value:.3f}" for value in five)]
        for name, five in series.items()
    ]
    title = "Share of head users in 128 clusters, test (Fig. 3)"
    return Figure(title, box_plot(series), Table(header, rows))


_PROBED = (
    ("SASRec", "sasrec", MAIN),
    ("S4Rec w/o GR", "s4rec", "without_gr"),
    ("S4Rec", "s4rec", MAIN),
)


def embedding_maps(groups: Sequence[Group], ledger_path: Path) -> list[Block]:
    """Fig. 1: z in the plane by t-SNE, and how alike neighbours are in length."""
    blocks: list[Block] = []
    header = ["model", "users", "share of head users", "near head users"]
    for label, model, variant in _PROBED:
        group = best(groups, model, variant)
        found = group.embedding_map(ledger_path) if group else None
        if found is None:
            continue
        places, is_head = found
        title = f"{label}: sequence embeddings of some test users (Fig. 1)"
        row = [label, str(len(places)), f"{np.mean(is_head):.3f}"]
        near = Table(header, [[*row, f"{_head_share_near_heads(places, is_head):.3f}"]])
        blocks.append(Figure(title, plane(places, is_head), near))
    if not blocks:
        return [Paragraph("No run with a map.")]
    text = (
        f'"Near head users" is the share of head users among the {_NEIGHBOURS} '
        "nearest places of a head user; the nearer to the share of all, the less the "
        "embeddings' layout tells of length."
    )
    return [Paragraph(text), *blocks]


def plane(places: np.ndarray, is_head: np.ndarray) -> Plot:
    """Users at their places [n, 2], by head and tail."""
    series = {
        name: [(float(x), float(y)) for x, y in places[who]]
        for name, who in (("tail users", ~is_head), ("head users", is_head))
    }
    return scatter_plot(series)


_NEIGHBOURS = 10


def _head_share_near_heads(places: np.ndarray, is_head: np.ndarray) -> float:
    from scipy.spatial import KDTree

    _, nearest = KDTree(places).query(places[is_head], k=_NEIGHBOURS + 1)
    return float(np.mean(is_head[nearest[:, 1:]]))
