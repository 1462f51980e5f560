"""Notes on metrics that measure something else than their name."""

from __future__ import annotations

import numpy as np

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.ranking import sampled_ranking
from s4rec_tf.ranking.full_ranking import seen_items

_MOST_TIED_HEADS = 0.5
"""Share of head users as short as a tail user from which the groups are in doubt."""


def caveats(
    sequences: Sequences, item_counts: np.ndarray, is_sampled: bool = False
) -> list[str]:
    """Notes on metrics that measured something else; empty if nothing is amiss.

    Args:
        sequences: the evaluated split.
        item_counts: training actions on item n at index n - 1, int [V].
        is_sampled: whether ranks among sampled negatives are among the metrics.
    """
    notes = [
        _of_untrained_targets(sequences, item_counts),
        _of_seen_targets(sequences),
        _of_head_and_tail(sequences),
        _of_quartiles(sequences),
    ]
    if is_sampled:
        notes += _of_negatives(sequences, item_counts)
    return [note for note in notes if note]


def _of_untrained_targets(sequences: Sequences, item_counts: np.ndarray) -> str:
    count = np.count_nonzero(item_counts[sequences.target_ids - 1] == 0)
    if not count:
        return ""
    return (
        f"{count} of {len(sequences)} targets have no action in the train split: "
        "models without item attributes rank them by weights that were never trained"
    )


def _of_seen_targets(sequences: Sequences) -> str:
    rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
    is_target = sequences.values == sequences.target_ids[rows]
    count = len(np.unique(rows[is_target]))
    if not count:
        return ""
    return (
        f"{count} of {len(sequences)} targets are in the user's history: they are "
        "ranked among the unseen items, but of the export only "
        "`recommend_with_history` can answer them"
    )


def _of_head_and_tail(sequences: Sequences) -> str:
    lengths, is_head = sequences.sequence_lengths, sequences.is_head
    if not np.any(is_head) or np.all(is_head):
        return ""
    longest_tail = lengths[~is_head].max()
    tied = np.count_nonzero(lengths[is_head] <= longest_tail)
    if tied < _MOST_TIED_HEADS * np.count_nonzero(is_head):
        return ""
    alike = np.count_nonzero(lengths[~is_head] >= lengths[is_head].min())
    return (
        f"{tied} of {np.count_nonzero(is_head)} head users have no longer history than "
        f"{alike} tail users (at most {longest_tail} actions): these differ by user id "
        "alone"
    )


def _of_quartiles(sequences: Sequences) -> str:
    lengths = sequences.sequence_lengths
    if len(lengths) < 2 or lengths.min() != lengths.max():
        return ""
    return (
        f"all histories have {lengths[0]} actions: groups by length differ by user id "
        "alone"
    )


def _of_negatives(sequences: Sequences, item_counts: np.ndarray) -> list[str]:
    rows, seen = seen_items(sequences)
    notes = []
    for name, asked, can_be_drawn in (
        ("uniform", sampled_ranking.UNIFORM_NEGATIVES, np.ones(len(item_counts), bool)),
        ("popular", sampled_ranking.POPULAR_NEGATIVES, item_counts > 0),
    ):
        taken = np.bincount(rows, can_be_drawn[seen - 1], minlength=len(sequences))
        taken += can_be_drawn[sequences.target_ids - 1]
        left = (np.count_nonzero(can_be_drawn) - taken).astype(int)
        if left.min() < asked:
            notes.append(
                f"sampled_{name}_{asked}: only {left.min()} to {min(left.max(), asked)}"
                f" negatives a user can be drawn of {np.count_nonzero(can_be_drawn)} "
                "items"
            )
    return notes
