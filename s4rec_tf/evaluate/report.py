"""An evaluation in words: the table of metrics, coverage and popularity bias."""

from __future__ import annotations

import numpy as np

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.evaluate.evaluation import LIST_LENGTH, Metrics
from s4rec_tf.ranking import full_ranking, metrics


def metrics_table(values: Metrics, sequences: Sequences) -> str:
    """The metrics as a table, a row a metric and a column a group of users."""
    groups = full_ranking.user_groups(sequences)
    sizes = {name: int(np.sum(members)) for name, members in groups.items()}
    columns = ["overall", *dict.fromkeys(k.split("/")[0] for k in values if "/" in k)]
    widths = [max(8, len(name)) for name in columns]
    lines = [_line("", columns, widths)]
    for metric in metrics.METRIC_NAMES:
        keys = [metric, *(f"{name}/{metric}" for name in columns[1:])]
        found = [values[key] for key in keys]
        cells = ["-" if value is None else f"{value:.4f}" for value in found]
        lines.append(_line(metric, cells, widths))
    counts = [str(sizes.get(name, len(sequences))) for name in columns]
    return "\n".join([*lines, _line("users", counts, widths)])


def _line(label: str, cells: list[str], widths: list[int]) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([label.ljust(8), *padded])


def list_summary(
    top_ids: np.ndarray, target_ids: np.ndarray, item_counts: np.ndarray
) -> str:
    """Coverage and popularity bias of the recommended lists, in words.

    Args:
        top_ids: recommended item ids, int [N, k].
        target_ids: int [N].
        item_counts: training actions on item n at index n - 1, int [V].
    """
    covered = metrics.coverage(top_ids, len(item_counts))
    percentiles = metrics.popularity_percentiles(item_counts)
    recommended = metrics.mean_percentile(top_ids, percentiles)
    wanted = metrics.mean_percentile(target_ids, percentiles)
    return (
        f"coverage@{LIST_LENGTH}: {covered:.4f} of {len(item_counts)} items are in the "
        f"first {LIST_LENGTH} of some user\n"
        f"popularity bias@{LIST_LENGTH}: {recommended - wanted:+.4f} (mean popularity "
        f"percentile of recommended items {recommended:.4f}, of targets {wanted:.4f})"
    )
