"""Samples of a train split that is read from its shards anew every epoch.

An epoch visits the shards in an order of its own. Their samples gather in a buffer of
about a million actions, and leave it in random order, each once: memory depends on the
buffer, not on the split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.batches import Arrays, sample_arrays
from s4rec_tf.data.samples import (
    AUTO_KINDS,
    SampleKind,
    no_samples,
    resolved_kind,
    samples_a_user,
    training_samples,
)
from s4rec_tf.data.sequences import Sequences

MOST_USERS = 1 << 16
"""Users, about, that are held in memory where some must stand for all."""

_PLACES = ("starts", "ends", "user_ends")


@dataclasses.dataclass(frozen=True)
class Share:
    """The share that a worker has of every batch, and so of the epoch's samples."""

    worker: int = 0
    num_workers: int = 1

    def of(self, count: int) -> tuple[int, int]:
        """First and last (excluded) of `count` things."""
        first, last = self.worker, self.worker + 1
        return count * first // self.num_workers, count * last // self.num_workers


ALONE = Share()


class StreamedSamples:
    """The samples of a train split on disk; one pass over it counts them.

    Args:
        dataset: a finished dataset folder.
        kind: of the samples, as in `training_samples`.
        max_length: L.
        seed: of the users that stand for all.

    Attributes:
        num_targets: T.
        item_counts: training actions on item n at index n - 1, int64 [V].
        some_users: all users; of many, about `MOST_USERS` that are drawn uniformly.

    Raises:
        spec.DatasetError: if a shard is damaged.
        ValueError: if no user has two actions.
    """

    buffered_actions = 1 << 20
    """Actions in the buffer from which batches are drawn."""

    def __init__(
        self,
        dataset: spec.DatasetDir,
        kind: SampleKind,
        max_length: int,
        seed: int,
    ) -> None:
        self._dataset, self._max_length = dataset, max_length
        self._shards = dataset.shards("train")
        self.item_counts = np.zeros(dataset.info().num_items, np.int64)
        self._head_length = np.iinfo(np.int32).max
        self.some_users = self._count(kind, seed)
        self.num_targets = 1 if self._kind == "prefix" else max_length
        if not len(self):
            raise no_samples(self.some_users.lengths)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def _count(self, kind: SampleKind, seed: int) -> Sequences:
        """Passes over the split; gives some users."""
        kinds = AUTO_KINDS if kind == "auto" else (kind,)
        counts = {name: dict.fromkeys(self._shards, 0) for name in kinds}
        draw, some = _user_draw(self._dataset, "train", seed), []
        num_users = 0
        for path, piece in self._pieces(self._shards):
            for name, of_shard in counts.items():
                of_shard[path] += int(self._samples_a_user(piece, name).sum())
            self.item_counts += np.bincount(
                piece.values, minlength=len(self.item_counts) + 1
            )[1:]
            heads = piece.sequence_lengths[piece.is_head]
            self._head_length = int(heads.min(initial=self._head_length))
            num_users += len(piece)
            some.append(draw(piece))
        self._kind = resolved_kind(kind, self.item_counts.sum() / max(num_users, 1))
        self._counts = np.array(list(counts[self._kind].values()))
        return Sequences.joined(some)

    def _samples_a_user(self, piece: Sequences, kind: SampleKind) -> np.ndarray:
        return samples_a_user(piece.lengths, kind, self._max_length)

    def _pieces(self, paths: list[Path]) -> Iterator[tuple[Path, Sequences]]:
        return records.read_pieces(self._dataset, "train", paths)

    def epoch(
        self,
        number: int,
        seed: int,
        contents: BatchSpec,
        batch_size: int,
        share: Share = ALONE,
    ) -> Iterator[tuple[Arrays, np.ndarray]]:
        """The batches of an epoch, as many at once as the buffer gives.

        Args:
            number: of the epoch, from 0.
            seed: of the order.
            contents: of a batch.
            batch_size: B, of this worker's batches.
            share: of the samples that are this worker's.

        Yields:
            `sample_arrays` of the samples in the buffer, and rows in them, int64
            [n, B]. Samples that do not fill the epoch's last batch are left out.
        """
        draw = np.random.default_rng([seed, number, 1 + share.worker])
        parts: list[Arrays] = []
        for part in self._parts(number, seed, contents, share):
            parts.append(part)
            if sum(len(part["values"]) for part in parts) >= self.buffered_actions:
                data, rows, rest = _drawn(parts, batch_size, draw)
                parts = [_only(data, rest)]
                yield data, rows
        if parts:
            data, rows, _ = _drawn(parts, batch_size, draw)
            yield data, rows

    def _parts(
        self, number: int, seed: int, contents: BatchSpec, share: Share
    ) -> Iterator[Arrays]:
        """`sample_arrays` of a worker's samples, piece by piece of the shards."""
        order = np.random.default_rng([seed, number]).permutation(len(self._shards))
        ends = np.cumsum(self._counts[order])
        starts = ends - self._counts[order]
        first, last = share.of(len(self))
        (own,) = np.nonzero((starts < last) & (ends > first))
        place, user = starts[own[0]], 0
        for _, piece in self._pieces([self._shards[shard] for shard in order[own]]):
            count = int(self._samples_a_user(piece, self._kind).sum())
            rows = slice(max(first - place, 0), max(last - place, 0))
            if count and rows.start < count and rows.stop:
                yield self._arrays(piece, contents, rows, user)
            place, user = place + count, user + len(piece)

    def _arrays(
        self, piece: Sequences, contents: BatchSpec, rows: slice, user: int
    ) -> Arrays:
        """`sample_arrays` of some rows of a piece, whose users begin with `user`."""
        cut = training_samples(piece, self._kind, self._max_length)
        data = sample_arrays(piece, cut, contents)
        if contents.head_tail_by == "prefix":
            data["is_head"] = cut.ends - cut.starts >= self._head_length
        data["users"] = data["users"] + np.int32(user)
        values = data.pop("values")
        return {"values": values, **{name: data[name][rows] for name in data}}


def some_users(dataset: spec.DatasetDir, split: str, seed: int) -> Sequences:
    """All users of a split; of many, about `MOST_USERS` that are drawn uniformly.

    Raises:
        spec.DatasetError: if a shard is damaged.
    """
    draw = _user_draw(dataset, split, seed)
    pieces = records.read_pieces(dataset, split, dataset.shards(split))
    return Sequences.joined([draw(piece) for _, piece in pieces])


def _user_draw(
    dataset: spec.DatasetDir, split: str, seed: int
) -> Callable[[Sequences], Sequences]:
    share = MOST_USERS / max(dataset.info().split_examples[split], 1)
    draw = np.random.default_rng(seed)
    return lambda piece: piece.take(np.flatnonzero(draw.random(len(piece)) < share))


def _drawn(
    parts: list[Arrays], batch_size: int, draw: np.random.Generator
) -> tuple[Arrays, np.ndarray, np.ndarray]:
    """Parts as one, rows of whole batches in random order, and the rows left."""
    shifts = np.cumsum([0, *(len(part["values"]) for part in parts[:-1])])
    moved = [
        {**part, **{name: part[name] + shift for name in _PLACES}}
        for part, shift in zip(parts, shifts, strict=True)
    ]
    data = {name: np.concatenate([part[name] for part in moved]) for name in moved[0]}
    order = draw.permutation(len(data["starts"]))
    whole = len(order) // batch_size * batch_size
    return data, order[:whole].reshape(-1, batch_size), order[whole:]


def _only(data: Arrays, rows: np.ndarray) -> Arrays:
    """Some samples, with the items of their users alone."""
    kept = {name: data[name][rows] for name in data if name != "values"}
    lengths = kept["user_ends"] - kept["starts"]
    moves = np.cumsum(lengths) - lengths - kept["starts"]
    places = np.arange(lengths.sum()) - np.repeat(moves, lengths)
    moved = {name: kept[name] + moves for name in _PLACES}
    return {**kept, **moved, "values": data["values"][places]}
