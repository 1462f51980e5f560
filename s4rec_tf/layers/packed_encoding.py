"""Encoding of a batch without its padding while training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from s4rec_tf import backend
from s4rec_tf.layers import masks
from s4rec_tf.layers.packing import PackedBatch, Packing, in_place, pack

Tensor = Any

ROWS_AT_ONCE = 128
"""Rows that stay in a core's cache while they are encoded, and run beside others."""


def encode_packed(
    embed: Callable[[list[Packing]], list[Tensor]],
    encoder: keras.layers.Layer,
    item_ids: Tensor,
    num_positions: int,
    rows_at_once: int = ROWS_AT_ONCE,
    training: bool = False,
    packs: bool | None = None,
) -> Tensor:
    """States of the last T positions.

    Args:
        embed: gives vectors [G, C, d'] of the items of every part.
        encoder: a layer with the arguments of `Transformer`, and its attributes
            `max_length`, `dim` and `seed_generator`.
        item_ids: int32 [B, L], left-padded.
        num_positions: T.
        rows_at_once: about how many rows are packed and computed at once in training;
            0 leaves the batch padded. Changes speed, and which elements
            dropout hits.
        training: whether dropout is on.
        packs: whether rows are packed and the encoder compiled; as `training` if None.

    Returns:
        [B, T, d]; zero at padding.
    """
    packs = training if packs is None else packs
    if packs and backend.IS_TENSORFLOW and rows_at_once:
        packings = [pack(part) for part in backend.split_rows(item_ids, rows_at_once)]
    else:
        rows = backend.trim_padding(item_ids, num_positions)
        packings = [in_place(rows, encoder.max_length)]
    seed = encoder.seed_generator.next() if training else None
    # Anew in every trace: it captures this replica's weights.
    encode = backend.compiled_layer(encoder) if packs else encoder
    states = []
    for number, vectors in enumerate(embed(packings)):
        _, positions, segments, slots = packings[number]
        batch = PackedBatch(vectors, positions, segments)
        query_positions = slots[:, -1] if num_positions == 1 else None
        part_seed = None if seed is None else seed + number
        found = encode(batch, query_positions, part_seed)
        if query_positions is None:
            found = ops.take(found, slots[:, -num_positions:], axis=0)
        states.append(ops.reshape(found, (-1, num_positions, encoder.dim)))
    is_real = masks.is_real(item_ids)[:, -num_positions:]
    return ops.concatenate(states) * ops.cast(is_real, states[0].dtype)[..., None]


def embed_parts(
    item_embedding: keras.layers.Layer, packings: list[Packing]
) -> list[Tensor]:
    """Item vectors [G, C, d] of all parts, by one lookup."""
    flat = [ops.reshape(packing.item_ids, (-1,)) for packing in packings]
    vectors = item_embedding(ops.concatenate(flat)[None])[0]
    parts = backend.split_sizes(vectors, [ops.shape(ids)[0] for ids in flat])
    return [
        ops.reshape(part, (-1, ops.shape(packing.item_ids)[1], item_embedding.dim))
        for part, packing in zip(parts, packings, strict=True)
    ]
