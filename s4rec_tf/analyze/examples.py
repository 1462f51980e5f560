"""Some users with what they are answered, and what each intent likes, for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from s4rec_tf.atomic_files import write_json
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.ranking import encoding
from s4rec_tf.ranking.full_ranking import full_ranks

FILE = "examples.json"
USERS_OF_KIND, SHOWN_HISTORY, SHOWN_ITEMS = 3, 10, 5

Name = Callable[[int], str]
Examples = dict[str, Any]


def examples(
    model: SequenceRecommender,
    users: Sequences,
    raw_ids: Sequence[str],
    titles: dict[str, str],
    seed: int,
) -> Examples:
    """Three head users and three tail users with their answers, and intents' items.

    No user is named. `intents` is empty for a model without intents; else it holds, by
    number, the best items of a user of that intent alone.

    Args:
        model: as trained.
        users: a split.
        raw_ids: of the items, by item id from 1.
        titles: by raw id, of some items.
        seed: of the users' choice.
    """

    def name(item_id: int) -> str:
        raw_id = raw_ids[item_id - 1]
        return titles.get(raw_id, raw_id)

    vectors = keras.ops.convert_to_numpy(model.item_vectors())
    chosen = users.take(_chosen(users.is_head, seed))
    return {
        "users": _answered(model, chosen, vectors, name),
        "intents": _liked(model, vectors, name) if model.has_intents else [],
    }


def write_examples(run_dir: Path, found: Examples) -> None:
    """Writes `evaluation/examples.json` of a run folder."""
    write_json(run_dir / "evaluation" / FILE, found)


def read_examples(run_dir: Path) -> Examples:
    """The examples of `write_examples`; nothing without a file."""
    path = run_dir / "evaluation" / FILE
    if not path.exists():
        return {"users": [], "intents": []}
    found: Examples = json.loads(path.read_text("utf-8"))
    return found


def _chosen(is_head: np.ndarray, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    kinds = (np.flatnonzero(is_head), np.flatnonzero(~is_head))
    return np.concatenate(
        [generator.permutation(rows)[:USERS_OF_KIND] for rows in kinds]
    )


def _answered(
    model: SequenceRecommender, users: Sequences, items: np.ndarray, name: Name
) -> list[dict[str, Any]]:
    vectors = encoding.encode_users(model, users)
    scorer = encoding.pair_scorer(model)
    ranked = full_ranks(vectors, items, users, SHOWN_ITEMS, scorer)
    return [
        {
            "is_head": bool(users.is_head[row]),
            "length": int(users.lengths[row]),
            "history": [name(item) for item in users.items(row)[-SHOWN_HISTORY:]],
            "next": name(users.target_ids[row]),
            "rank": int(ranked.ranks[row]),
            "answers": [name(item) for item in ranked.top_ids[row] if item],
        }
        for row in range(len(users))
    ]


def _liked(
    model: SequenceRecommender, items: np.ndarray, name: Name
) -> list[list[str]]:
    scores = keras.ops.convert_to_numpy(model.intent_vectors()) @ items.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :SHOWN_ITEMS]
    return [[name(row + 1) for row in rows] for rows in best]
