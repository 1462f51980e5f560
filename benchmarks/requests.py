"""The requests that servers are asked with, as bytes of each protocol.

`recommend` with history, k and exclude, built by the client's own code.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import NamedTuple

from benchmarks import kserve
from serving.client import messages
from serving.client import wire_pb2 as wire

LENGTH = 50
"""L of the models' default settings."""

NAME = "bench"
SIGNATURE = "recommend"
OUTPUTS = ("item_ids", "scores", "probabilities", "is_fallback")
"""Outputs that the client reads."""

_VERSION = 1
_MEAN_FURTHER_ITEMS = 4
_MOST_EXCLUDED = 3


class Question(NamedTuple):
    """Inputs of one request.

    Attributes:
        history: left-padded raw item ids.
        k: items wanted.
        exclude: raw item ids besides the history's.
    """

    history: list[str]
    k: int
    exclude: list[str]


def histories(num_items: int, count: int, seed: int = 0) -> list[list[str]]:
    """Left-padded histories of 5 items and more, 9 on average as in Amazon Beauty."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        length = min(LENGTH, 5 + int(draw.expovariate(1 / _MEAN_FURTHER_ITEMS)))
        items = [f"item-{draw.randint(1, num_items)}" for _ in range(length)]
        rows.append([""] * (LENGTH - length) + items)
    return rows


def questions(
    num_items: int, count: int, max_k: int = 20, seed: int = 0
) -> list[Question]:
    """Questions about such histories, each with up to 3 items to exclude."""
    draw = random.Random(f"{seed} exclude")
    found = []
    for history in histories(num_items, count, seed):
        most = draw.randint(0, _MOST_EXCLUDED)
        exclude = [f"item-{draw.randint(1, num_items)}" for _ in range(most)]
        found.append(Question(history, max_k, exclude))
    return found


def predict(question: Question) -> bytes:
    """The client's Predict."""
    request = wire.PredictRequest()
    request.model_spec.name = NAME
    request.model_spec.signature_name = SIGNATURE
    request.model_spec.version.value = _VERSION
    request.output_filter.extend(OUTPUTS)
    request.inputs["history"].CopyFrom(messages.strings([question.history]))
    messages.fill_lists(request, question.k, question.exclude)
    return bytes(request.SerializeToString())


def rest(question: Question) -> bytes:
    """The same as a body of TF Serving's REST."""
    row = {
        "history": question.history,
        "k": question.k,
        "exclude": ["", *question.exclude],
    }
    body = {"signature_name": SIGNATURE, "instances": [row]}
    return json.dumps(body).encode()


def infer(question: Question) -> bytes:
    """The same as KServe's ModelInfer."""
    return bytes(kserve.recommend_request(NAME, *question).SerializeToString())


def write(folder: Path, num_items: int, max_k: int, count: int = 256) -> None:
    """Writes a folder of requests for each protocol: predict, rest, infer."""
    asked = questions(num_items, count, max_k)
    for build in (predict, rest, infer):
        (folder / build.__name__).mkdir()
        for number, question in enumerate(asked):
            file = folder / build.__name__ / f"{number:04d}.bin"
            file.write_bytes(build(question))
