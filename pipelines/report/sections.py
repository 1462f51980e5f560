"""The report's tables: our runs, published figures, differences, missing runs.

Everything of ours comes from the ledger and the ranks beside it; what others published
comes from `published.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.experiments.queue_files import MAIN
from pipelines.report.budgets import passes_of
from pipelines.report.cells import HEAD_TAIL, METRICS, Published, published_number
from pipelines.report.groups import NONE, SELECTION, Group, best, spread
from pipelines.report.model_differences import Difference, differences
from s4rec_tf.report_page.blocks import Block, Heading, Paragraph, Table


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
        cells = [published_number(found.get(name)) for name in METRICS]
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
    (_NO_VIEWS, _DOT),
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
        [entry["test"].get(f"{who}/{SELECTION}") for who in HEAD_TAIL]
        for entry in group.entries
    ]
    return [head - tail for head, tail in pairs if None not in (head, tail)]
