"""The end of the demo's output: recommendations and the table of metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

COLUMNS = ("HR@5", "NDCG@5", "HR@20", "NDCG@20")
SLICES = {"overall": "", "head": "head/", "tail": "tail/"}
"""Label of a slice, and what stands before its metrics' names."""

Metrics = Mapping[str, float]


def last_json_object(output: str) -> dict[str, float]:
    """The metrics in the last line of `s4rec_tf.evaluate`'s output.

    Raises:
        ValueError: if the last line is no JSON object.
    """
    lines = output.strip().splitlines()
    last = lines[-1] if lines else ""
    try:
        metrics = json.loads(last)
    except json.JSONDecodeError:
        metrics = None
    if not isinstance(metrics, dict):
        raise ValueError(f"the last line must be a JSON object. Received: {last!r}")
    return metrics


def metrics_table(rows: Mapping[str, Metrics]) -> str:
    """One line a model, the slices side by side.

    Args:
        rows: metrics by the model's name, as `last_json_object` gives them.
    """
    width = max(len(name) for name in ("model", *rows))
    group = 9 * len(COLUMNS)
    head = " " * width + "".join(f"  |{label:^{group}}" for label in SLICES)
    names = "".join(f"{column:>9}" for column in COLUMNS)
    lines = [head, f"{'model':<{width}}" + f"  |{names}" * len(SLICES)]
    lines.append("-" * len(lines[1]))
    for name, metrics in rows.items():
        line = f"{name:<{width}}"
        for prefix in SLICES.values():
            values = (metrics.get(prefix + column) for column in COLUMNS)
            line += "  |" + "".join(_cell(value) for value in values)
        lines.append(line)
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    """A metric in nine characters; a slice without users has none."""
    return f"{'-':>9}" if value is None else f"{value:>9.4f}"


def recommendations(
    user: str,
    history: Sequence[str],
    answer: Sequence[tuple[str, float]],
    intents: Mapping[str, str],
    shown: int = 8,
) -> str:
    """The end of a user's history, and what is recommended.

    Args:
        user: raw user id.
        history: their raw item ids, oldest first.
        answer: recommended items with their scores, best first.
        intents: planted intent of an item, where it is known.
        shown: how many items of the history are printed.
    """
    last = history[-shown:]
    lines = [f"user {user}: the last {len(last)} of {len(history)} items, oldest first"]
    lines += [f"      {_with_intent(item, intents)}" for item in last]
    lines.append("recommended, best first, with scores")
    for rank, (item, score) in enumerate(answer, start=1):
        lines.append(f"  {rank:>2}. {_with_intent(item, intents)}  {score:.4f}")
    return "\n".join(lines)


def _with_intent(item: str, intents: Mapping[str, str]) -> str:
    intent = intents.get(item)
    return item if intent is None else f"{item}  (planted intent {intent:>2})"
