"""The report's ablations, and its sweeps of one setting at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipelines.experiments.queue_files import MAIN
from pipelines.report.cells import METRICS, PAPER_METRICS, Published, published_number
from pipelines.report.groups import NONE, Group, best, spread
from s4rec_tf.report_page.blocks import Block, Figure, Paragraph, Table
from s4rec_tf.report_page.figures import line_plot

SWEPT = ("num_intents", "alpha", "lambda_adv", "beta_1", "beta_2")
"""Settings of the paper's sweeps; a sweep's variant is `setting=value`."""


def ablations(groups: Sequence[Group], published: Sequence[Published]) -> Table:
    """Table 3: as published, and ours on the strong recipe and in the faithful one."""
    header = ["row", "whose", "seeds", *PAPER_METRICS, "tail/NDCG@20"]
    rows = []
    for line in published:
        printed = [published_number(line["metrics"][name]) for name in PAPER_METRICS]
        rows.append([line["row"], "published", NONE, *printed, NONE])
        variants = {line["variant"]: "ours"}
        if line["variant"] == MAIN:
            variants |= {"faithful": "ours, the paper's setting", _SHORT: _IN_SHORT}
        else:
            variants[f"{_SHORT}_{line['variant']}"] = _IN_SHORT
        for variant, whose in variants.items():
            group = best(groups, line["model"], variant)
            rows.append([line["row"], whose, *_ablation_cells(group)])
    return Table(header, rows)


_SHORT, _IN_SHORT = "short", "ours, 8 epochs"
"""Prefix of the variants of the queue `ablations_beauty_short`."""


def _ablation_cells(group: Group | None) -> list[str]:
    metrics = (*PAPER_METRICS, "tail/NDCG@20")
    if group is None:
        return ["no finished run", *[NONE] * len(metrics)]
    cells = [spread(group.values(name)) for name in metrics]
    return [str(len(group.entries)), *cells]


def sweeps(groups: Sequence[Group], published: Mapping[float, float]) -> list[Block]:
    """Fig. 5 and the weights' figure: HR@5 and NDCG@20 over one setting at a time."""
    blocks: list[Block] = []
    for setting in SWEPT:
        names = (f"{setting}=", f"{_SHORT}_{setting}=")
        swept = [g for g in groups if g.variant.startswith(names)]
        swept.sort(key=lambda group: group.settings[setting])
        if not swept:
            continue
        series: dict[str, list[tuple[str, float]]] = {}
        labels = ("HR@5, ours", f"HR@5, {_IN_SHORT}")
        for name, label in zip(names, labels, strict=True):
            chosen = [g for g in swept if g.variant.startswith(name)]
            points = _points(chosen, setting, lambda group: group.mean("HR@5"))
            series |= {label: points} if points else {}
        if setting == "num_intents":
            series["HR@5, published"] = [(f"{k:g}", v) for k, v in published.items()]
        header = [setting, "epochs", "seeds", *METRICS, "tail/NDCG@20"]
        rows = [
            [
                *(f"{g.settings[setting]:g}", spread(g.numbers("epochs"), 0)),
                str(len(g.entries)),
                *(spread(g.values(name)) for name in header[3:]),
            ]
            for g in swept
        ]
        title = f"HR@5 over {setting}, test"
        plot = line_plot(setting, series)
        blocks.append(Figure(title, plot, Table(header, rows)))
    return blocks or [Paragraph("No finished run of a sweep.")]


def _points(
    groups: Sequence[Group], setting: str, value: Callable[[Group], float | None]
) -> list[tuple[str, float]]:
    found = [(f"{group.settings[setting]:g}", value(group)) for group in groups]
    return [(place, number) for place, number in found if number is not None]
