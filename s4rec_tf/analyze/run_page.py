"""A run on one page, from the files of its folder alone: `evaluation/run.html`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from s4rec_tf.analyze.analysis import MAP_NAME
from s4rec_tf.analyze.example_blocks import intent_blocks, user_blocks
from s4rec_tf.analyze.examples import read_examples
from s4rec_tf.atomic_files import write_bytes
from s4rec_tf.ranking import metrics
from s4rec_tf.report_page import figures
from s4rec_tf.report_page.blocks import Block, Figure, Heading, Paragraph, Table
from s4rec_tf.report_page.page import as_html

PAGE_NAME = "run.html"
CUTOFF = 20
COLOURED_INTENTS = 5
_Z_95 = 1.96
"""Standard errors to each side of a mean that hold it in 95 % of samples."""

Epochs = list[dict[str, float]]


def write_page(run_dir: Path) -> Path:
    """Draws what a run folder holds by now; returns the page's path."""
    blocks = [
        *_training(_epochs(run_dir)),
        *_slices(run_dir),
        *_analysis(run_dir),
        *_settings(run_dir),
    ]
    path = run_dir / "evaluation" / PAGE_NAME
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, as_html(f"Run {run_dir.name}", blocks).encode())
    return path


def _epochs(run_dir: Path) -> Epochs:
    path = run_dir / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def _training(epochs: Epochs) -> Iterator[Block]:
    yield Heading(2, "Training")
    if not epochs:
        yield Paragraph("No epoch is on record.")
        return
    terms = [name for name in epochs[0] if name.endswith("_weighted")]
    quality = ["val_NDCG@20", "val_head_NDCG@20", "val_tail_NDCG@20"]
    for title, names in (
        ("Loss terms by epoch, weighted", terms),
        ("Validation by epoch", [name for name in quality if name in epochs[0]]),
    ):
        if names:
            yield _curves(title, epochs, names)


def _curves(title: str, epochs: Epochs, names: list[str]) -> Figure:
    """Lines of some values over epochs; a term that an epoch lacks has a gap."""
    series = {
        name.removesuffix("_weighted").removeprefix("val_"): [
            (str(epoch["epoch"]), epoch[name]) for epoch in epochs if name in epoch
        ]
        for name in names
    }
    rows = [
        [str(epoch["epoch"]), *(_number(epoch.get(name)) for name in names)]
        for epoch in epochs
    ]
    plot = figures.line_plot("epoch", series)
    return Figure(title, plot, Table(["epoch", *series], rows))


def _slices(run_dir: Path) -> Iterator[Block]:
    for split in ("test", "valid"):
        path = run_dir / "evaluation" / f"{split}_ranks.npz"
        if path.exists():
            with np.load(path) as stored:
                ranks, is_head = stored["ranks"], stored["is_head"]
            yield Heading(2, f"Metrics, {split}")
            yield Paragraph(
                "All items ranked. After ±: half the width of a 95 % interval over "
                "users."
            )
            yield _slice_table(ranks.astype(np.int64), is_head)


def _slice_table(ranks: np.ndarray, is_head: np.ndarray) -> Table:
    """Metrics of all, head and tail users; ranks int [N], is_head bool [N]."""
    header = ["users", "number", f"HR@{CUTOFF}", f"NDCG@{CUTOFF}", "MRR"]
    slices = {"all": np.ones_like(is_head), "head": is_head, "tail": ~is_head}
    rows = []
    for name, members in slices.items():
        of_slice = ranks[members]
        if not len(of_slice):
            continue
        hits = (of_slice <= CUTOFF).astype(float)
        gains = np.where(of_slice <= CUTOFF, 1 / np.log2(of_slice + 1.0), 0.0)
        cells = [
            (metrics.hit_rate(of_slice, CUTOFF), hits),
            (metrics.ndcg(of_slice, CUTOFF), gains),
            (metrics.reciprocal_rank(of_slice), 1 / of_slice),
        ]
        shown = [f"{mean:.4f} ± {_half_width(values):.4f}" for mean, values in cells]
        rows.append([name, f"{len(of_slice):,}", *shown])
    return Table(header, rows)


def _half_width(values: np.ndarray) -> float:
    """Half of the mean's 95 % interval, by its standard error; values float [N]."""
    if len(values) < 2:
        return 0.0
    return float(_Z_95 * np.std(values, ddof=1) / np.sqrt(len(values)))


def _analysis(run_dir: Path) -> Iterator[Block]:
    path = run_dir / "evaluation" / "analysis.json"
    if not path.exists():
        return
    found = json.loads(path.read_text("utf-8"))
    yield Heading(2, f"Embeddings of users, {found['split']}")
    rows = [[name, f"{value:.4f}"] for name, value in found["findings"].items()]
    yield Table(["finding", "value"], rows)
    for name, counts in found["clusters"].items():
        yield _clusters(name, counts["users"], counts["heads"])
    yield from planes(run_dir)
    named = read_examples(run_dir)
    yield from intent_blocks(named["intents"], found["clusters"].get("prototypes", {}))
    yield from user_blocks(named["users"])


def _clusters(name: str, users: list[int], heads: list[int]) -> Figure:
    """Head rate of every cluster that has users, the highest first."""
    used = [
        (h / u, u, n) for n, (u, h) in enumerate(zip(users, heads, strict=True)) if u
    ]
    used.sort(reverse=True)
    points = [(str(cluster), rate) for rate, _, cluster in used]
    rows = [[str(cluster), f"{u:,}", f"{rate:.3f}"] for rate, u, cluster in used]
    return Figure(
        f"Share of head users by cluster, {name}: {len(used)} of {len(users)} in use",
        figures.bar_chart({"share of head users": points}, "cluster"),
        Table(["cluster", "users", "share of head users"], rows),
    )


def planes(run_dir: Path) -> Iterator[Figure]:
    """Some users of an analyzed run in the plane: by length and, if any, by intent."""
    path = run_dir / "evaluation" / MAP_NAME
    if not path.exists():
        return
    with np.load(path) as stored:
        places, is_head = stored["places"], stored["is_head"]
        intents = stored.get("intents")
    halves = {"tail users": ~is_head, "head users": is_head}
    yield _plane("Some users in the plane, by t-SNE", places, halves)
    if intents is not None:
        title = f"The same users, by the {COLOURED_INTENTS} most frequent intents"
        yield _plane(title, places, _by_intent(intents))


def _by_intent(intents: np.ndarray) -> dict[str, np.ndarray]:
    """Members, bool [n], of the most frequent intents and of all others."""
    numbers, counts = np.unique(intents, return_counts=True)
    frequent = numbers[np.argsort(-counts, kind="stable")][:COLOURED_INTENTS]
    groups = {f"intent {number}": intents == number for number in frequent}
    return {"other intents": ~np.isin(intents, frequent), **groups}


def _plane(title: str, places: np.ndarray, groups: dict[str, np.ndarray]) -> Figure:
    series = {
        name: [(float(x), float(y)) for x, y in places[members]]
        for name, members in groups.items()
    }
    rows = [[name, str(len(points))] for name, points in series.items()]
    plot = figures.scatter_plot(series)
    return Figure(title, plot, Table(["users", "number"], rows))


def _settings(run_dir: Path) -> Iterator[Block]:
    settings: dict[str, Any] = json.loads((run_dir / "config.json").read_text("utf-8"))
    yield Heading(2, "Settings")
    rows = [[key, str(value)] for key, value in settings.items()]
    yield Table(["setting", "value"], rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
