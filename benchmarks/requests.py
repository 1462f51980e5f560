"""The histories that servers are asked about, and the bytes that ask."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks import kserve
from serving.client import wire_pb2 as wire

LENGTH = 50
"""L of the models' default settings."""

NAME = "bench"
OUTPUTS = ("item_ids", "scores", "is_fallback")
_MEAN_FURTHER_ITEMS = 4


def histories(num_items: int, count: int, seed: int = 0) -> list[list[str]]:
    """Left-padded histories of 5 items and more, 9 on average as in Amazon Beauty."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        length = min(LENGTH, 5 + int(draw.expovariate(1 / _MEAN_FURTHER_ITEMS)))
        items = [f"item-{draw.randint(1, num_items)}" for _ in range(length)]
        rows.append([""] * (LENGTH - length) + items)
    return rows


def predict(history: list[str]) -> bytes:
    """TF Serving's Predict for one history."""
    request = wire.PredictRequest()
    request.model_spec.name = NAME
    request.output_filter.extend(OUTPUTS)
    tensor = wire.Tensor(dtype=wire.DT_STRING)
    for size in (1, len(history)):
        tensor.tensor_shape.dim.add(size=size)
    tensor.string_val.extend(item.encode() for item in history)
    request.inputs["history"].CopyFrom(tensor)
    return bytes(request.SerializeToString())


def infer(history: list[str]) -> bytes:
    """KServe's ModelInfer for one history."""
    return bytes(kserve.history_request(NAME, [history]).SerializeToString())


def write(folder: Path, num_items: int, count: int = 256) -> tuple[Path, Path]:
    """Writes requests of both protocols; their folders."""
    for name, build in (("predict", predict), ("infer", infer)):
        (folder / name).mkdir()
        for number, history in enumerate(histories(num_items, count)):
            (folder / name / f"{number:04d}.bin").write_bytes(build(history))
    return folder / "predict", folder / "infer"
