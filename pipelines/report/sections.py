"""The report's sections: our runs, published figures, tests, ablations, sweeps.

Everything of ours comes from the ledger and the ranks beside it; what others published
comes from `published.yaml`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.experiments.queue_files import MAIN
from pipelines.report.budgets import passes_of
from pipelines.report.groups import NONE, SELECTION, Group, best, spread
from pipelines.report.model_differences import Difference, differences
from s4rec_tf.report_page.blocks import Block, Figure, Heading, Paragraph, Table
from s4rec_tf.report_page.figures import bar_chart, box_plot, line_plot, scatter_plot

METRICS = ("HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20")
PAPER_METRICS = ("HR@5", "HR@20", "NDCG@5", "NDCG@20")
SWEPT = ("num_intents", "alpha", "lambda_adv", "beta_1", "beta_2")
"""Settings of the paper's sweeps; a sweep's variant is `setting=value`."""

Published = Mapping[str, Any]


def runs_table(groups: Sequence[Group]) -> list[Block]:
    """A row a group: mean and sample standard deviation over seeds, on test."""
    if not groups:
        return [Paragraph("No finished run.")]
    head_tail = ("head/HR@20", "head/NDCG@20", "tail/HR@20", "tail/NDCG@20")
    header = ["model", "configuration", "variant", "seeds", *METRICS, *head_tail]
    header += ["head-tail gap NDCG@20", "valid NDCG@20", "epochs", "minutes", "machine"]
    rows = []
    for group in groups:
        row = [group.model, group.label, group.variant, str(len(group.entries))]
        row += [spread(group.values(name)) for name in (*METRICS, *head_tail)]
        row += [spread(_gaps(group)), spread(group.values(SELECTION, "valid"))]
        row += [spread(group.numbers("epochs"), 0), spread(group.numbers("minutes"), 1)]
        machines = dict.fromkeys(entry["machine"] for entry in group.entries)
        rows.append([*row, "; ".join(machines)])
    notes: list[Block] = [Table(header, rows)]
    if len({group.data_fingerprint for group in groups}) > 1:
        notes.append(Paragraph("These runs are on datasets of different content."))
    return notes


def published_beside(groups: Sequence[Group], results: Sequence[Published]) -> Table:
    """Published figures for the dataset beside our main runs, chosen on validation."""
    header = ["method", *METRICS, "history filtered", "source", "ours passes it in"]
    s4rec = best(groups, "s4rec")
    rows = []
    for result in results:
        found = result["metrics"]
        filtered = {True: "yes", False: "no", None: "not said"}[result["filtered"]]
        source = "; ".join([result["source"], *filter(None, [result.get("note")])])
        method = f"{result['method']}{' (to beat)' if result.get('target') else ''}"
        cells = [_number(found.get(name)) for name in METRICS]
        rows.append([method, *cells, filtered, source, _passed(s4rec, found)])
    for model in ("sasrec", "s4rec"):
        group = best(groups, model)
        name, label = f"{model}, ours", group.label if group else "no finished run"
        cells = [spread(group.values(m)) if group else NONE for m in METRICS]
        rows.append([name, *cells, "yes", label, ""])
    return Table(header, rows)


def _passed(group: Group | None, published: Mapping[str, float]) -> str:
    if group is None:
        return NONE
    passed = [m for m, value in published.items() if (group.mean(m) or 0) > value]
    if len(passed) == len(published):
        return "every cell"
    return ", ".join(passed) if passed else "none"


def differences_table(
    groups: Sequence[Group], ledger_path: Path, budgets: Sequence[Published]
) -> list[Block]:
    """Pairs of main runs and controls, with intervals over seeds and users.

    Args:
        groups: the ledger's groups on one dataset.
        ledger_path: the ledger, beside which the ranks lie.
        budgets: entries of `budgets.yaml`.
    """
    header = ["first", "second", "seeds", "passes", "metric", "users", "N"]
    header += ["first - second", "95 % interval", "relative", "95 % interval, relative"]
    rows, lacking = [], []
    for first, second in _PAIRS:
        pair = [best(groups, model, variant) for _, model, variant in (first, second)]
        if pair[0] is None or pair[1] is None:
            names = [n[0] for n, g in zip((first, second), pair, strict=True) if not g]
            lacking += [name for name in names if name not in lacking]
            continue
        ours, known = (group.ranks(ledger_path) for group in pair if group)
        if ours is None or known is None or ours[0].shape[1] != known[0].shape[1]:
            shown = f"The users' ranks of {first[0]} or {second[0]} are not beside the"
            return [Paragraph(f"{shown} ledger.")]
        seeds = " / ".join(str(len(group.entries)) for group in pair if group)
        passes = " / ".join(passes_of(group, budgets) for group in pair if group)
        for found in differences(ours[0], known[0], ours[1]):
            row = [first[0], second[0], seeds, passes, found.metric, found.users]
            row += [str(found.count), f"{found.difference:+.4f}"]
            row.append(f"{found.low:+.4f} to {found.high:+.4f}")
            rows.append([*row, *relative_cells(found)])
    blocks: list[Block] = []
    if rows:
        blocks += [Paragraph(_ABOUT_DIFFERENCES), Table(header, rows)]
    if lacking:
        blocks.append(Paragraph(f"No finished run of {', '.join(lacking)}."))
    return blocks


def lengths_table(groups: Sequence[Group]) -> list[Block]:
    """Main runs and controls by the length of the users' histories."""
    metrics = [
        f"length_q{quarter}/{name}" for name in _BY_LENGTH for quarter in range(1, 5)
    ]
    rows = []
    for label, model, variant in _COMPARED:
        group = best(groups, model, variant)
        if group is None or not group.values(metrics[0]):
            continue
        cells = [spread(group.values(name)) for name in metrics]
        rows.append([label, str(len(group.entries)), *cells])
    if not rows:
        return [Paragraph("No finished run with quarters of length.")]
    text = (
        "Quarters of the users by the length of their full sequence, q1 the shortest."
    )
    return [Paragraph(text), Table(["model", "seeds", *metrics], rows)]


_BY_LENGTH = ("HR@20", "NDCG@20")


def relative_cells(found: Difference) -> tuple[str, str]:
    """A difference and its interval, relative to the second model's mean."""
    relative = found.relative()
    if relative is None:
        return NONE, NONE
    shift, low, high = (100 * value for value in relative)
    return f"{shift:+.1f} %", f"{low:+.1f} to {high:+.1f} %"


_S4REC = ("S4Rec", "s4rec", MAIN)
_SASREC = ("SASRec", "sasrec", MAIN)
_CONTROL = ("SASRec with view targets", "s4rec", "control_views")
_NO_VIEWS = ("S4Rec without view targets", "s4rec", "no_views")
_DOT = ("SASRec by dot products", "sasrec", "dot_product")
_BSAREC = ("BSARec", "bsarec", MAIN)
_BSAREC_VIEWS = ("BSARec with view targets", "bsarec", "views")
_COMPARED = (_S4REC, _CONTROL, _NO_VIEWS, _SASREC, _BSAREC, _BSAREC_VIEWS)
_PAIRS = (
    (_S4REC, _CONTROL),
    (_S4REC, _SASREC),
    (_CONTROL, _SASREC),
    (_NO_VIEWS, _SASREC),
    (_DOT, _SASREC),
    (_BSAREC, _SASREC),
    (_BSAREC_VIEWS, _CONTROL),
)
_ABOUT_DIFFERENCES = (
    "SASRec with view targets is S4Rec's recipe with every weight of Eq. 14 but L_SR's "
    "at 0: the same views, epochs and passes. Intervals are from a hierarchical "
    "bootstrap: seeds of each model, and users, drawn with replacement. A model with "
    "one seed adds nothing for its seeds, so that its intervals are too narrow; with "
    "three, the part of the seeds is a fifth too small."
)


def head_tail_figure(groups: Sequence[Group], released: Sequence[Published]) -> Block:
    """Fig. 4: head and tail users, ours beside the released checkpoints."""
    metrics = [f"{who}/{name}" for name in ("HR@5", "NDCG@5") for who in _HEAD_TAIL]
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
    rows = [[n, *(_number(v) for _, v in points)] for n, points in series.items()]
    title = "Head and tail users, test (Fig. 4)"
    return Figure(title, bar_chart(series), Table(header, rows))


_HEAD_TAIL = ("head", "tail")


def head_rate_figure(groups: Sequence[Group], released: Sequence[Published]) -> Block:
    """Fig. 3: the share of head users over 128 K-means clusters of z, and the probe."""
    columns = ("min", "q25", "median", "q75", "max")
    names = [f"kmeans_head_rate_{column}" for column in columns]
    series: dict[str, list[float]] = {}
    probes: dict[str, list[float]] = {}
    for label, model, variant in _PROBED:
        group = best(groups, model, variant)
        if group is None or not group.finding(names[0]):
            continue
        series[label] = [statistics.fmean(group.finding(name)) for name in names]
        probes[label] = group.finding("probe_auc")
    if not series:
        return Paragraph("No probed run.")
    for row in released:
        series[row["method"]] = row["head_rate"]
        probes[row["method"]] = [row["probe_auc"]] if "probe_auc" in row else []
    header = ["model", "AUC of the head-tail probe", *columns]
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
        series = {
            name: [(float(x), float(y)) for x, y in places[who]]
            for name, who in (("tail users", ~is_head), ("head users", is_head))
        }
        title = f"{label}: sequence embeddings of some test users (Fig. 1)"
        row = [label, str(len(places)), f"{np.mean(is_head):.3f}"]
        near = Table(header, [[*row, f"{_head_share_near_heads(places, is_head):.3f}"]])
        blocks.append(Figure(title, scatter_plot(series), near))
    if not blocks:
        return [Paragraph("No run with a map.")]
    text = (
        f'"Near head users" is the share of head users among the {_NEIGHBOURS} '
        "nearest places of a head user; the nearer to the share of all, the less the "
        "embeddings' layout tells of length."
    )
    return [Paragraph(text), *blocks]


_NEIGHBOURS = 10


def _head_share_near_heads(places: np.ndarray, is_head: np.ndarray) -> float:
    from scipy.spatial import KDTree

    _, nearest = KDTree(places).query(places[is_head], k=_NEIGHBOURS + 1)
    return float(np.mean(is_head[nearest[:, 1:]]))


def ablations(groups: Sequence[Group], published: Sequence[Published]) -> Table:
    """Table 3: as published, and ours on the strong recipe and in the faithful one."""
    header = ["row", "whose", "seeds", *PAPER_METRICS, "tail/NDCG@20"]
    rows = []
    for line in published:
        printed = [_number(line["metrics"][name]) for name in PAPER_METRICS]
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


def missing_runs(
    queues: Mapping[str, Sequence[Mapping[str, Any]]], lines: Sequence[Any]
) -> list[Block]:
    """The finished share of every shipped queue.

    Args:
        queues: by name, runs with the fields of a ledger line up to `seed`.
        lines: the ledger.
    """
    blocks: list[Block] = [Heading(2, "What is missing")]
    rows = []
    for name, wanted in queues.items():
        left = [w for w in wanted if not any(_is_run(line, w) for line in lines)]
        shown = [
            f"{w['dataset']} {w['model']} {w['config']} {w['variant']}" for w in left
        ]
        counts = {text: shown.count(text) for text in dict.fromkeys(shown)}
        listed = "; ".join(f"{text} ({n} seeds)" for text, n in counts.items()) or NONE
        rows.append([name, str(len(wanted)), str(len(wanted) - len(left)), listed])
    return [*blocks, Table(["queue", "runs", "finished", "not finished"], rows)]


def _is_run(line: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    # Numbers compare by value, so that a queue's 0 is the ledger's 0.0.
    return all(line[name] == value for name, value in wanted.items())


def _gaps(group: Group) -> list[float]:
    pairs = [
        [entry["test"].get(f"{who}/{SELECTION}") for who in _HEAD_TAIL]
        for entry in group.entries
    ]
    return [head - tail for head, tail in pairs if None not in (head, tail)]


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"
