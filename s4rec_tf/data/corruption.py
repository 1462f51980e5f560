"""Training sequences with some items replaced at random (DSSRec, section 6.2)."""

from __future__ import annotations

import dataclasses

import numpy as np

from s4rec_tf.data.sequences import Sequences


def replace_items(
    sequences: Sequences, share: float, num_items: int, seed: int
) -> Sequences:
    """Replaces items of a split by uniformly drawn ones, for a test of robustness.

    Args:
        sequences: the train split; stays as it is.
        share: of all actions, in [0, 1]; so many, rounded, are replaced.
        num_items: V; an item may be drawn that stood there.
        seed: of the places and the items; of two shares, the greater one's places
            hold the smaller one's.
    """
    if not share:
        return sequences
    places_seed, items_seed = np.random.SeedSequence(seed).spawn(2)
    count = round(share * len(sequences.values))
    places = np.random.default_rng(places_seed).permutation(len(sequences.values))
    drawn = np.random.default_rng(items_seed).integers(
        1, num_items + 1, len(sequences.values)
    )
    values = sequences.values.copy()
    values[places[:count]] = drawn[:count]
    return dataclasses.replace(sequences, values=values)
