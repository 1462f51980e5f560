"""A split of a dataset in memory, as one ragged array."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from s4rec_tf import spec

IntArray = np.ndarray[Any, np.dtype[np.int32]]

_COLUMNS: dict[str, type] = {
    "user_ids": object,
    "values": np.int32,
    "target_ids": np.int32,
    "is_head": np.bool_,
    "sequence_lengths": np.int32,
}


@dataclasses.dataclass(frozen=True)
class Sequences:
    """The sequences of N users, in order of user id as bytes.

    Attributes:
        user_ids: raw user ids, bytes [N].
        values: item ids of all users one after the other, int32 [sum of lengths].
        offsets: user n's items are `values[offsets[n]:offsets[n + 1]]`, int64 [N + 1].
        target_ids: the item to be predicted, int32 [N]; `PAD_ID` in the train split.
        is_head: True for the longest 20 % of users, bool [N].
        sequence_lengths: length of the user's full sequence, int32 [N].
    """

    user_ids: np.ndarray
    values: IntArray
    offsets: np.ndarray
    target_ids: IntArray
    is_head: np.ndarray
    sequence_lengths: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Number of items of each user's (uncut) input, int64 [N]."""
        return np.diff(self.offsets)

    def items(self, row: int) -> IntArray:
        """All items of one user, oldest first."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @classmethod
    def joined(cls, parts: list[Sequences]) -> Sequences:
        """The users of all parts, one part after the other; none if there is none."""
        columns = {
            name: np.concatenate([np.zeros(0, kind), *(vars(p)[name] for p in parts)])
            for name, kind in _COLUMNS.items()
        }
        lengths = np.concatenate([[0], *(part.lengths for part in parts)])
        return cls(offsets=np.cumsum(lengths, dtype=np.int64), **columns)

    def take(self, rows: np.ndarray) -> Sequences:
        """The sequences of some users, in the order asked for.

        Args:
            rows: their indices, int [M].
        """
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        moves = np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Sequences(
            user_ids=self.user_ids[rows],
            values=self.values[np.arange(offsets[-1]) + moves],
            offsets=offsets,
            target_ids=self.target_ids[rows],
            is_head=self.is_head[rows],
            sequence_lengths=self.sequence_lengths[rows],
        )

    def padded(self, rows: np.ndarray, max_length: int) -> IntArray:
        """The last `max_length` items of some users, left-padded.

        Args:
            rows: indices of users [B].
            max_length: L.

        Returns:
            item ids, int32 [B, L]; `PAD_ID` where there is no item.
        """
        return gather_windows(
            self.values, self.offsets[rows], self.offsets[rows + 1], max_length
        )

    def is_head_length(self, lengths: np.ndarray) -> np.ndarray:
        """Whether sequences of these lengths, int [N], would be head, bool [N].

        The rule for sequences that have no flag of their own: at least as long as the
        shortest head user's full sequence.
        """
        heads = self.sequence_lengths[self.is_head]
        return np.asarray(lengths >= heads.min(initial=np.iinfo(np.int32).max))


def gather_windows(
    values: IntArray, starts: np.ndarray, ends: np.ndarray, max_length: int
) -> IntArray:
    """The last `max_length` of `values[start:end]`, left-padded, int32 [B, L]."""
    positions = ends[:, None] - np.arange(max_length, 0, -1)[None, :]
    is_real = positions >= starts[:, None]
    return np.where(
        is_real, values[np.where(is_real, positions, 0)], spec.PAD_ID
    ).astype(np.int32)
