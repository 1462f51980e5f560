"""The effect of S4Rec's own terms, against SASRec with the same settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.report.model_differences import Difference, differences

METRIC = "NDCG@20"
_GROUPS = {
    "all": "all users",
    "head": "head, the longest 20 % of histories",
    "tail": "tail",
}


def own_terms(sasrec: Path, s4rec: Path) -> str:
    """The differences in `METRIC` by group of users, and what they show.

    Both models were trained with equal settings, S4Rec with its four terms on top.

    Args:
        sasrec: SASRec's ranks, as `s4rec_tf.evaluate` writes them.
        s4rec: S4Rec's, of the same users.
    """
    ranks, is_head = zip(*map(_read, (s4rec, sasrec)), strict=True)
    found = differences(ranks[0][None], ranks[1][None], is_head[0])
    chosen = {d.users: d for d in found if d.metric == METRIC}
    lines = [
        f"what S4Rec's own terms (intents, contrast, distillation, adversary) change: "
        f"{METRIC} against SASRec,",
        "trained alike, one seed each; 95 % intervals over users",
    ]
    width = max(map(len, _GROUPS.values()))
    for users, difference in chosen.items():
        lines.append(f"  {_GROUPS[users]:<{width}}  {_cells(difference)}")
    return "\n".join([*lines, _conclusion(chosen)])


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as stored:
        return stored["ranks"], stored["is_head"].astype(bool)


def _cells(difference: Difference) -> str:
    relative = difference.relative()
    if relative is None:
        return "SASRec finds nothing here"
    value, low, high = (100 * share for share in relative)
    return f"{value:+5.1f} %  ({low:+.1f} to {high:+.1f} %)"


def _conclusion(chosen: dict[str, Difference]) -> str:
    """One sentence: won, lost, or too close to tell, for each group that differs."""
    verdicts = [
        f"{'win' if d.low > 0 else 'lose'} on {users} users"
        for users, d in chosen.items()
        if d.low > 0 or d.high < 0
    ]
    if not verdicts:
        return "On this log the difference is too small to tell from chance."
    return f"On this log they {' and '.join(verdicts)}; other logs may differ."
