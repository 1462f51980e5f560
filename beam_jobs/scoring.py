"""Recommendations for all users of a dataset, by Beam's RunInference over an export.

The SavedModel answers, as it does in a server: nothing is computed here. Needs
TensorFlow on the workers, and none of the project's training code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from beam_jobs.sequences import UserSequence, parse_sequence_line
from beam_jobs.sinks.encoding import parse_example, read_records
from s4rec_tf import spec

SIGNATURE = "serving_examples"
RECOMMENDATIONS = "recommendations"
EMBEDDINGS = "embeddings"
SUFFIX = ".jsonl"

_UserIds = tuple[bytes, tuple[int, list[int]]]


class Answer(NamedTuple):
    """The answer of the model for one user.

    Attributes:
        items: raw ids, best first.
        scores: in their order.
        embedding: the user's vector.
        is_fallback: True where no item of the history is known.
    """

    items: list[str]
    scores: list[float]
    embedding: list[float]
    is_fallback: bool


class SavedModelHandler(ModelHandler[UserSequence, PredictionResult, Any]):
    """Runs the signature `serving_examples` of an export on batches of users."""

    def __init__(self, version: str, k: int, max_batch_size: int) -> None:
        """Takes BASE/NAME/N, the items wanted for a user, and the users of a batch."""
        super().__init__()
        self._version = version
        self._k = k
        self._max_batch_size = max_batch_size

    def load_model(self) -> Any:
        """The loaded export."""
        import tensorflow as tf

        return tf.saved_model.load(self._version)

    def run_inference(
        self,
        batch: Sequence[UserSequence],
        model: Any,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[PredictionResult]:
        """A result a user, in order."""
        import tensorflow as tf

        examples = []
        for user in batch:
            example = tf.train.Example()
            feature = example.features.feature[spec.SERVING_HISTORY]
            feature.bytes_list.value.extend(user.items)
            examples.append(example.SerializeToString())
        outputs = model.signatures[SIGNATURE](examples=tf.constant(examples))
        arrays = [
            outputs[name].numpy().tolist()
            for name in ("item_ids", "scores", "user_embedding", "is_fallback")
        ]
        for user, *values in zip(batch, *arrays, strict=True):
            yield PredictionResult(user, self._answer(*values))

    def _answer(
        self,
        items: list[bytes],
        scores: list[float],
        embedding: list[float],
        is_fallback: bool,
    ) -> Answer:
        pairs = zip(items, scores, strict=True)
        best = [(_text(item), score) for item, score in pairs if item][: self._k]
        return Answer(
            [item for item, _ in best],
            [score for _, score in best],
            embedding,
            is_fallback,
        )

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """Sizes of batches."""
        return {"max_batch_size": self._max_batch_size}

    def get_metrics_namespace(self) -> str:
        """Of Beam's own counters and times of inference."""
        return "s4rec"


def recommendation_line(result: PredictionResult) -> str:
    """`{"user", "items", "scores", "is_fallback"}` as JSON."""
    answer = result.inference
    return json.dumps(
        {
            "user": _text(result.example.user),
            "items": answer.items,
            "scores": answer.scores,
            "is_fallback": answer.is_fallback,
        }
    )


def embedding_lines(result: PredictionResult) -> Iterator[str]:
    """`{"id", "embedding"}` as JSON; nothing for a user without a known item."""
    if not result.inference.is_fallback:
        user, embedding = _text(result.example.user), result.inference.embedding
        yield json.dumps({"id": user, "embedding": embedding})


def _text(raw: bytes) -> str:
    # What is no UTF-8 becomes an escaped surrogate in JSON, and can be turned back.
    return raw.decode("utf-8", "surrogateescape")


def _read_shard(numbered: tuple[int, str]) -> Iterator[_UserIds]:
    number, path = numbered
    for record in read_records(Path(path)):
        features = parse_example(record)
        ids = [*features[spec.ITEM_IDS], *features.get(spec.TARGET_ID, [])]
        yield features[spec.USER_ID][0], (number, ids)


class _ToRawIds(beam.DoFn):
    """A user's examples of all splits -> the whole history in raw ids."""

    def __init__(self, vocabulary: str) -> None:
        self._vocabulary = vocabulary
        self._items: list[bytes] = []

    def setup(self) -> None:
        text = Path(self._vocabulary).read_bytes()
        self._items = text.split(b"\n")[:-1]

    def process(
        self, element: tuple[bytes, Iterable[tuple[int, list[int]]]]
    ) -> Iterator[UserSequence]:
        user, examples = element
        # The last split's example holds what is in those before it.
        _, ids = max(examples)
        yield UserSequence(user, [self._items[item_id - 1] for item_id in ids])


def users_of_dataset(
    pipeline: beam.Pipeline, dataset: spec.DatasetDir
) -> beam.PCollection[UserSequence]:
    """All users of a dataset with their whole histories, all splits joined."""
    shards = [
        (number, str(path))
        for number, split in enumerate(spec.SPLITS)
        for path in dataset.shards(split)
    ]
    return (
        pipeline
        | "Shards" >> beam.Create(shards)
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(_read_shard)
        | "ByUser" >> beam.GroupByKey()
        | "ToRawIds" >> beam.ParDo(_ToRawIds(str(dataset.item_vocab)))
    )


def users_of_lines(
    pipeline: beam.Pipeline, pattern: str
) -> beam.PCollection[UserSequence]:
    """Users of text files, `user TAB item item ...` a line, oldest first."""
    return (
        pipeline
        | "Lines" >> beam.io.ReadFromText(pattern, coder=beam.coders.BytesCoder())
        | "Spread" >> beam.Reshuffle()
        | "Parse" >> beam.Map(parse_sequence_line)
    )


def write_answers(
    users: beam.PCollection[UserSequence],
    handler: SavedModelHandler,
    output: Path,
    with_embeddings: bool,
) -> None:
    """Writes JSON lines, in as many files as the engine likes.

    Args:
        users: whom to answer.
        handler: what answers.
        output: folder of `recommendations-*.jsonl`.
        with_embeddings: whether to write `embeddings-*.jsonl` too.
    """
    results = users | "Ask" >> RunInference(handler)
    (
        results
        | "ToLine" >> beam.Map(recommendation_line)
        | "Write"
        >> beam.io.WriteToText(str(output / RECOMMENDATIONS), file_name_suffix=SUFFIX)
    )
    if with_embeddings:
        (
            results
            | "ToVector" >> beam.FlatMap(embedding_lines)
            | "WriteVectors"
            >> beam.io.WriteToText(str(output / EMBEDDINGS), file_name_suffix=SUFFIX)
        )
