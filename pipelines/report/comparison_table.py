"""The table of a comparison of models: one row a model."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.report.groups import NONE, spread
from pipelines.report.model_differences import METRICS, USERS, Difference, differences
from pipelines.report.sections import relative_cells
from s4rec_tf.report_page.blocks import Block, Paragraph, Table

if TYPE_CHECKING:
    from pipelines.report.groups import Group

CUTOFFS = (5, 10, 20)
TESTED = "NDCG@20"
_SHOWN = (
    *("HR@5", "HR@20", "NDCG@5", "NDCG@20", "MRR"),
    *("head/HR@20", "head/NDCG@20", "head/MRR"),
    *("tail/HR@20", "tail/NDCG@20", "tail/MRR"),
)
_ALL = tuple(
    f"{users}{metric}"
    for users in ("", "head/", "tail/")
    for metric in (*(f"{m}@{k}" for m in ("HR", "NDCG") for k in CUTOFFS), "MRR")
)
_SAMPLED = "sampled_uniform_99"
_SAMPLED_METRICS = ("HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@20", "NDCG@20")
_PUBLISHED = ("HR@5", "HR@20", "NDCG@5", "NDCG@20")

Published = Mapping[str, Any]


def users_per_second(group: Group, num_users: int) -> list[float]:
    """Users of the train split learned from in a second, of every seed."""
    return [
        entry["epochs"] * num_users / (60 * entry["minutes"])
        for entry in group.entries
        if entry["minutes"] > 0
    ]


def against(
    group: Group, other: Group | None, ledger: Path
) -> dict[tuple[str, str], Difference]:
    """A model against another one, by metric and group of users.

    Returns:
        nothing without another model, for the model itself, or where ranks are missing.
    """
    if other is None or other is group:
        return {}
    found, known = group.ranks(ledger), other.ranks(ledger)
    if found is None or known is None or found[0].shape[1] != known[0].shape[1]:
        return {}
    compared = differences(found[0], known[0], found[1])
    return {(one.metric, one.users): one for one in compared}


def published_of(model: str, results: Sequence[Published]) -> Published | None:
    """The first published result of a model, by its name without hyphens."""
    for result in results:
        if re.sub("[^a-z0-9]", "", result["method"].lower()) == model:
            return result
    return None


class Comparison:
    """Finished models side by side.

    Args:
        groups: a model each, seeds together.
        reference: name of the model that the others are tested against.
        results: published results on the dataset.
        sampled: those among sampled negatives.
        parameters: number of trained parameters of each model.
        num_users: users of the train split.
        ledger: the ledger, beside which the ranks lie.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        reference: str,
        results: Sequence[Published],
        sampled: Sequence[Published],
        parameters: Mapping[str, int],
        num_users: int,
        ledger: Path,
    ) -> None:
        self.groups, self.reference = groups, reference
        self.results, self.sampled = results, sampled
        self.parameters, self.num_users, self.ledger = parameters, num_users, ledger
        other = next((g for g in groups if g.model == reference), None)
        self._differences = {g.model: against(g, other, ledger) for g in groups}

    def blocks(self, missing: Sequence[str]) -> list[Block]:
        """The table with what it means.

        Args:
            missing: models that have not finished.
        """
        about = (
            "Test split, all items ranked, the user's own history left out; mean and "
            "sample standard deviation over seeds; configurations as shipped, chosen "
            "on validation. Head users are the longest 20 %. The difference is that "
            f"of {TESTED}, relative to {self.reference}, with a 95 % interval over "
            "seeds and users (hierarchical bootstrap; a model with one seed adds "
            "nothing for its seeds). Epochs differ, and so do trials and passes: a "
            "difference is one of budgets too. Minutes are those of training epochs on "
            "the machine named; users/s counts the users of the train split."
        )
        blocks: list[Block] = [Paragraph(about), self._table()]
        machines = {entry["machine"] for g in self.groups for entry in g.entries}
        blocks.append(Paragraph(f"Machines: {'; '.join(sorted(machines)) or NONE}."))
        blocks += self._all_differences()
        blocks += self._sampled()
        if missing:
            blocks.append(Paragraph(f"Not finished: {', '.join(missing)}."))
        return blocks

    def _table(self) -> Table:
        header = ["model", "configuration", "seeds", *_SHOWN, "valid NDCG@20"]
        header += [f"{TESTED} against {self.reference}", "95 % interval"]
        header += ["epochs", "minutes", "users/s", "parameters"]
        header += [f"published {name}" for name in _PUBLISHED] + ["published by"]
        return Table(header, [self._row(group) for group in self.groups])

    def _all_differences(self) -> list[Block]:
        """Every metric and group of users against the reference, with intervals."""
        names = [(metric, users) for metric in METRICS for users in USERS]
        rows = [
            [
                model,
                *(
                    " (".join(relative_cells(found[name])) + ")"
                    if name in found
                    else NONE
                    for name in names
                ),
            ]
            for model, found in self._differences.items()
            if found
        ]
        if not rows:
            return []
        text = f"Relative to {self.reference}, with 95 % intervals as above:"
        header = ["model", *(f"{metric}, {users}" for metric, users in names)]
        return [Paragraph(text), Table(header, rows)]

    def _sampled(self) -> list[Block]:
        """SSI's protocol, in which numbers are several times those of full ranking."""
        rows = []
        for group in self.groups:
            values = [group.values(f"{_SAMPLED}/{name}") for name in _SAMPLED_METRICS]
            if not all(values):
                continue
            printed = [row for row in self.sampled if row["model"] == group.model]
            metrics = printed[0]["metrics"] if printed else {}
            cells = [f"{metrics[m]:.3f}" if metrics else NONE for m in _SAMPLED_METRICS]
            rows.append([group.model, *(spread(found, 3) for found in values), *cells])
        if not rows:
            return []
        text = (
            "The target among 99 items that the user has not had, drawn uniformly: the "
            "protocol of SSI's Table 2, whose figures stand beside. To be held against "
            "each other and no full ranking."
        )
        header = ["model", *_SAMPLED_METRICS]
        header += [f"published {name}" for name in _SAMPLED_METRICS]
        return [Paragraph(text), Table(header, rows)]

    def _row(self, group: Group) -> list[str]:
        row = [group.model, group.label, str(len(group.entries))]
        row += [spread(group.values(name)) for name in _SHOWN]
        row.append(spread(group.values(TESTED, "valid")))
        found = self._differences[group.model].get((TESTED, "all"))
        row += relative_cells(found) if found else (NONE, NONE)
        row += [spread(group.numbers("epochs"), 0), spread(group.numbers("minutes"), 1)]
        row.append(spread(users_per_second(group, self.num_users), 0))
        row.append(f"{self.parameters[group.model]:,}")
        result = published_of(group.model, self.results)
        metrics = result["metrics"] if result else {}
        row += [f"{metrics[n]:.4f}" if n in metrics else NONE for n in _PUBLISHED]
        return [*row, result["source"] if result else NONE]

    def as_csv(self) -> str:
        """A line a model and seed, every metric in full."""
        text = io.StringIO()
        header = ["model", "configuration", "seed", *_ALL, f"valid {TESTED}"]
        header += ["epochs", "minutes", "users_per_second", "parameters", "machine"]
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for group in self.groups:
            for entry in group.entries:
                row = [group.model, group.label, entry["seed"]]
                row += [entry["test"].get(name) for name in _ALL]
                row += [entry["valid"].get(TESTED), entry["epochs"], entry["minutes"]]
                seconds = 60 * entry["minutes"]
                speed = entry["epochs"] * self.num_users / seconds if seconds else None
                row += [speed, self.parameters[group.model], entry["machine"]]
                writer.writerow(row)
        return text.getvalue()


def count_parameters(resolved: Mapping[str, Any], info: Any) -> int:
    """Trained parameters of a run's model; imports keras.

    Args:
        resolved: all settings of the run, flat.
        info: facts of the dataset, a `DatasetInfo`.
    """
    from s4rec_tf.runs import config
    from s4rec_tf.runs.restore import build_model

    model = build_model(config.from_flat(dict(resolved)), info)
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))
