"""The whole report: every dataset's tables and figures, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.experiments.queue_files import (
    DATASETS,
    QUEUE_FOLDER,
    config_name,
    read_entries,
)
from pipelines.report import budgets as report_budgets
from pipelines.report import groups as report_groups
from pipelines.report import length_sections, sections, settings_sections
from s4rec_tf.report_page.blocks import Heading, Paragraph

PUBLISHED = Path(__file__).parent / "published.yaml"
NAMES = {
    "beauty": "Amazon Beauty",
    "sports": "Amazon Sports and Outdoors",
    "toys": "Amazon Toys and Games",
    "ml1m": "MovieLens-1M",
}
_ABOUT = (
    "Drawn from the ledger of finished runs alone, by python -m pipelines.report. All "
    "items are ranked for every user, the user's own history left out; test split "
    "unless said otherwise; mean and sample standard deviation over seeds. Among "
    "settings the best by validation NDCG@20 stands for a model. Head users are the "
    "longest 20 %."
)


def report_blocks(lines: Sequence[dict[str, Any]], ledger_path: Path) -> list[Any]:
    """All of the report.

    Args:
        lines: the ledger's entries.
        ledger_path: the ledger, beside which the ranks lie.
    """
    published = yaml.safe_load(PUBLISHED.read_text("utf-8"))
    blocks: list[Any] = [Paragraph(_ABOUT)]
    for dataset in DATASETS:
        blocks += _dataset_blocks(dataset, lines, ledger_path, published)
    return [*blocks, *sections.missing_runs(shipped_queues(), lines)]


def shipped_queues() -> dict[str, list[dict[str, Any]]]:
    """The runs of every shipped queue, with a ledger line's fields up to `seed`."""
    return {
        path.stem: [
            {
                **{name: entry[name] for name in ("dataset", "model", "settings")},
                "config": config_name(entry["config"]),
                "variant": entry["variant"],
                "seed": seed,
            }
            for entry in read_entries(path)
            for seed in entry["seeds"]
        ]
        for path in sorted(QUEUE_FOLDER.glob("*.yaml"))
    }


def _dataset_blocks(
    dataset: str,
    lines: Sequence[dict[str, Any]],
    ledger_path: Path,
    published: Mapping[str, Any],
) -> list[Any]:
    groups = report_groups.groups_of(e for e in lines if e["dataset"] == dataset)
    results = [row for row in published["results"] if row["dataset"] == dataset]
    is_beauty = dataset == "beauty"
    given = report_budgets.BUDGETS.read_text("utf-8")
    budgets = yaml.safe_load(given) if is_beauty else []
    released = published["head_tail"] if is_beauty else []
    blocks = [
        Heading(2, NAMES[dataset]),
        *sections.runs_table(groups),
        Heading(3, "Published figures beside"),
        sections.published_beside(groups, results),
        Heading(3, "Differences between models"),
        *sections.differences_table(groups, ledger_path, budgets),
        Heading(3, "Head and tail users"),
        length_sections.head_tail_figure(groups, released),
        Heading(3, "Users by the length of their history"),
        *sections.lengths_table(groups),
        Heading(3, "Length in the clusters"),
        length_sections.head_rate_figure(groups, released),
    ]
    if is_beauty:
        blocks += [
            Heading(3, "Who was given what"),
            *report_budgets.budgets_table(groups, budgets),
            Heading(3, "Sequence embeddings in the plane"),
            *length_sections.embedding_maps(groups, ledger_path),
            Heading(3, "Ablations (Table 3)"),
            settings_sections.ablations(groups, published["ablations"]),
            Heading(3, "Number of prototypes and weights of the terms"),
            *settings_sections.sweeps(groups, published["num_intents"]),
        ]
    return blocks
