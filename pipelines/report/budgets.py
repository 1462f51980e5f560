"""Budgets: trials, epochs, encoder passes and minutes of each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.experiments.queue_files import MAIN
from pipelines.report.groups import NONE, Group, best, spread
from s4rec_tf.report_page.blocks import Block, Paragraph, Table

BUDGETS = Path(__file__).parent / "budgets.yaml"
"""Trials, and passes an epoch, of the models on Amazon Beauty."""

_ABOUT = (
    "Trials are settings of the model that were tried on this dataset, seeds not "
    "counted. Passes are how often the encoder reads a sample, or a view of it, over "
    "the whole training; samples of different kinds, and encoders of different kinds, "
    "cost differently. Minutes are those of the ledger, halts of the machine included. "
    "Where passes or trials differ, a difference between two models is one of budgets "
    "too."
)


def budgets_table(
    groups: Sequence[Group], budgets: Sequence[Mapping[str, Any]]
) -> list[Block]:
    """A row a model that has finished, in the order of `budgets`.

    Args:
        groups: the ledger's groups on one dataset.
        budgets: entries of `budgets.yaml`.
    """
    header = ["model", "variant", "seeds", "trials", "epochs", "passes a sample"]
    header += ["sample", "minutes", "trials counted from"]
    rows = []
    for budget in budgets:
        variant = budget.get("variant", MAIN)
        group = best(groups, budget["model"], variant)
        if group is None:
            continue
        row = [budget["model"], variant, str(len(group.entries))]
        row += [str(budget["trials"]), spread(group.numbers("epochs"), 0)]
        row += [spread(total_passes(group, budget), 0), budget.get("sample", "prefix")]
        rows.append([*row, spread(group.numbers("minutes"), 1), budget["counted"]])
    if not rows:
        return [Paragraph("No finished run of these models.")]
    return [Paragraph(_ABOUT), Table(header, rows)]


def total_passes(group: Group, budget: Mapping[str, Any]) -> list[float]:
    """Passes a sample over the training of every seed."""
    early = budget.get("early", {"epochs": 0, "passes": 0})
    return [
        early["epochs"] * early["passes"]
        + (epochs - early["epochs"]) * budget["passes"]
        for epochs in group.numbers("epochs")
    ]


def passes_of(group: Group, budgets: Sequence[Mapping[str, Any]]) -> str:
    """Mean passes a sample of a group, as text; `NONE` if its model is not listed."""
    for budget in budgets:
        is_its = budget["model"] == group.model
        if is_its and budget.get("variant", MAIN) == group.variant:
            return spread(total_passes(group, budget), 0)
    return NONE
