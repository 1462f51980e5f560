"""The plots of docs/how_s4rec_works.md, from the ledger and an analyzed run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from pipelines.experiments import ledger
from pipelines.experiments.queue_files import MAIN
from pipelines.report.groups import Group, best, groups_of
from pipelines.report.length_sections import HEAD_RATES, plane
from s4rec_tf.report_page.figures import Plot, bar_chart, box_plot

DATASET = "beauty"
"""The dataset whose finished runs are drawn."""

SHOWN = 2
"""One of so many users is drawn, so that the files stay small."""

_SASREC = ("SASRec", "sasrec", MAIN)
_CONTROL = ("SASRec with view targets", "s4rec", "control_views")
_BY_LENGTH = (_SASREC, _CONTROL, ("S4Rec", "s4rec", MAIN))
_WITH_CLUSTERS = (
    _SASREC,
    ("S4Rec, no adversary", "s4rec", "short_without_gr"),
    ("S4Rec", "s4rec", "short"),
)
_QUARTERS = ("shortest quarter", "second", "third", "longest quarter")
_PLANES = {"with_adversary": "short", "without_adversary": "short_without_gr"}


def ledger_plots(path: Path) -> dict[str, Plot]:
    """Plots of the finished runs, by their names.

    Raises:
        ValueError: if the ledger lacks a run that one of them needs.
    """
    groups = groups_of(e for e in ledger.read(path) if e["dataset"] == DATASET)
    planes = {name: _plane(groups, path, variant) for name, variant in _PLANES.items()}
    return {
        "quality_by_length": _quality_by_length(groups),
        "head_rate_of_clusters": _head_rates(groups),
        **planes,
    }


def _quality_by_length(groups: Sequence[Group]) -> Plot:
    """NDCG@20 on test by quarters of users, those of the shortest histories first."""
    series = {
        label: [
            (name, statistics.fmean(found.values(f"length_q{quarter}/NDCG@20")))
            for quarter, name in enumerate(_QUARTERS, start=1)
        ]
        for label, model, variant in _BY_LENGTH
        for found in [_needed(groups, model, variant)]
    }
    return bar_chart(series, "users by the length of their history")


def _head_rates(groups: Sequence[Group]) -> Plot:
    """Share of head users over 128 K-means clusters of z, means over seeds (Fig. 3)."""
    return box_plot(
        {
            label: [statistics.fmean(found.finding(name)) for name in HEAD_RATES]
            for label, model, variant in _WITH_CLUSTERS
            for found in [_needed(groups, model, variant)]
        }
    )


def _plane(groups: Sequence[Group], path: Path, variant: str) -> Plot:
    """Users of a variant of S4Rec in the plane, by head and tail (Fig. 1)."""
    found = _needed(groups, "s4rec", variant).embedding_map(path)
    if found is None:
        raise ValueError(f"the map of variant {variant} must lie beside {path}")
    places, is_head = found
    return plane(places[::SHOWN], is_head[::SHOWN])


def _needed(groups: Sequence[Group], model: str, variant: str) -> Group:
    found = best(groups, model, variant)
    if found is None:
        raise ValueError(
            f"the ledger must have a run of {model}, variant {variant}, on {DATASET}. "
            f"Received: {len(groups)} others"
        )
    return found


def intents_plot(run_dir: Path) -> Plot:
    """Users of an analyzed run in the plane, by intent.

    Raises:
        ValueError: if the run was not analyzed or has no intents.
    """
    from s4rec_tf.analyze.run_page import planes

    drawn = list(planes(run_dir))
    if len(drawn) != 2:
        raise ValueError(
            f"{run_dir} must be a run of a model with intents, after "
            f"s4rec_tf.analyze. Received: {len(drawn)} of its two maps"
        )
    plot = dict(drawn[1].plot)
    thinned = [
        trace | {axis: trace[axis][::SHOWN] for axis in "xy"} for trace in plot["data"]
    ]
    return plot | {"data": thinned}
