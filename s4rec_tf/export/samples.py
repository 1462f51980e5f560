"""Sample requests: for the golden answers, and to warm a server up before traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from s4rec_tf import spec
from s4rec_tf.export import protocol

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
"""Path of the warm-up records of TF Serving, below a version's folder."""

GOLDEN_FILE = "golden_requests.jsonl"
UNKNOWN_ITEM = "\N{REPLACEMENT CHARACTER}no such item"
UNKNOWN_USER = "\N{REPLACEMENT CHARACTER}no such user"

Inputs = dict[str, Any]
Request = tuple[str, Inputs]
"""A signature's name and its inputs as nested lists."""


def sample_histories(vocabulary: list[str], length: int) -> list[list[str]]:
    """Histories that together reach every branch of the graph.

    Empty, unknown, one item, some items with an unknown one and with gaps, and a full
    one; items are spread over the vocabulary.

    Args:
        vocabulary: V raw ids.
        length: L; every history has it, left-padded with "".
    """
    step = max(1, len(vocabulary) // length)
    spread = (vocabulary[::step] * length)[:length]
    histories = [
        [],
        [UNKNOWN_ITEM],
        [vocabulary[0]],
        [*spread[: length // 4], "", UNKNOWN_ITEM, *spread[length // 4 : length // 3]],
        spread,
    ]
    return [[""] * (length - len(items)) + items[-length:] for items in histories]


def sample_requests(
    vocabulary: list[str],
    length: int,
    max_k: int,
    user_ids: np.ndarray | None = None,
    has_intents: bool = False,
) -> list[Request]:
    """Two requests a signature: one row, and one row per sample history.

    Args:
        vocabulary: V raw ids.
        length: L.
        max_k: width of an answer.
        user_ids: raw ids of the users with an embedding, bytes [N]; or None.
        has_intents: whether the model has intents.
    """
    requests: list[Request] = []
    users = _sample_users(user_ids)
    every = sample_histories(vocabulary, length)
    for histories in ([every[-1]], every):
        rows = len(histories)
        history = {spec.SERVING_HISTORY: histories}
        extra = {
            "k": [max(1, max_k - row) for row in range(rows)],
            "exclude": [
                ["", vocabulary[-1 - row % len(vocabulary)]] for row in range(rows)
            ],
        }
        items = [(vocabulary * rows)[row] for row in range(rows - 1)]
        item = {"item": [*items, UNKNOWN_ITEM] if items else [vocabulary[0]]}
        allow = {"allow": [["", *vocabulary[:length]] for _ in range(rows)]}
        requests += [
            (protocol.SERVING_DEFAULT, history),
            (protocol.RECOMMEND, {**history, **extra}),
            (protocol.RECOMMEND_WITH_HISTORY, {**history, **extra}),
            (protocol.RECOMMEND_AMONG, {**history, **extra, **allow}),
            (protocol.SIMILAR_ITEMS, {**item, **extra}),
            (protocol.EXPLAIN, {**history, **item}),
            (protocol.SERVING_EXAMPLES, {"examples": histories}),
        ]
        if has_intents:
            requests.append((protocol.INTENTS, history))
        if users:
            who = {spec.USER_ID: (users * rows)[:rows]}
            inputs = {**who, spec.SERVING_HISTORY: histories, **extra}
            requests.append((protocol.RECOMMEND_FOR_USER, inputs))
    return requests


def _sample_users(user_ids: np.ndarray | None) -> list[str]:
    """A known user and an unknown one; ids that are no text cannot be written down."""
    if user_ids is None:
        return []
    texts = (user.decode("utf-8", "replace") for user in user_ids)
    known = (text for text in texts if "\N{REPLACEMENT CHARACTER}" not in text)
    return [next(known, UNKNOWN_USER), UNKNOWN_USER]


def to_tensors(request: Request) -> dict[str, tf.Tensor]:
    """The tensors of a request; histories as serialized examples if it takes those."""
    name, inputs = request
    if name == protocol.SERVING_EXAMPLES:
        return {"examples": tf.constant([_example(row) for row in inputs["examples"]])}
    return {key: tf.constant(value) for key, value in inputs.items()}


def _example(history: list[str]) -> bytes:
    values = tf.train.BytesList(value=[item.encode() for item in history if item])
    features = {spec.SERVING_HISTORY: tf.train.Feature(bytes_list=values)}
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString()


def write_warmup(version: Path, model_name: str, requests: list[Request]) -> None:
    """Writes the requests as TF Serving's warm-up records."""
    path = version / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            predict = predict_pb2.PredictRequest()
            predict.model_spec.name = model_name
            predict.model_spec.signature_name = request[0]
            for key, tensor in to_tensors(request).items():
                predict.inputs[key].CopyFrom(tf.make_tensor_proto(tensor))
            log = prediction_log_pb2.PredictLog(request=predict)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())


def write_golden(version: Path, path: Path, requests: list[Request]) -> None:
    """Answers the requests from the saved files and writes both, one JSON a line.

    A line is `{"signature_name", "inputs", "outputs"}` in TF Serving's column format;
    of `serving_examples` the inputs are the histories inside the examples.

    Raises:
        ExportError: if an answer holds NaN or infinity.
    """
    signatures = tf.saved_model.load(str(version)).signatures
    lines = []
    for request in requests:
        outputs = signatures[request[0]](**to_tensors(request))
        for name, value in sorted(outputs.items()):
            if value.dtype.is_floating and not np.isfinite(value.numpy()).all():
                raise protocol.ExportError(
                    f"signature {request[0]} answers {name} that are not finite"
                )
        answer = {key: _to_lists(value) for key, value in sorted(outputs.items())}
        line = {"signature_name": request[0], "inputs": request[1], "outputs": answer}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), "utf-8")


def _to_lists(tensor: tf.Tensor) -> Any:
    if tensor.dtype != tf.string:
        return tensor.numpy().tolist()
    return np.vectorize(bytes.decode, otypes=[object])(tensor.numpy()).tolist()
