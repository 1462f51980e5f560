"""Requests joined by TensorFlow's scheduler answer as each alone does."""

import dataclasses
import shutil
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode

from serving import config_files, metrics
from serving.config_files import BatchingParameters
from serving.servables.padding import Padding
from serving.servables.servable import Servable
from serving.servables.version_files import warmup_requests
from serving.status import StatusError
from tests.serving.acceptance import models
from tests.serving.export_requests import HISTORY, predict_request

PARAMETERS = BatchingParameters(
    max_batch_size=32,
    batch_timeout_micros=20_000,
    num_batch_threads=2,
    allowed_batch_sizes=(1, 8, 32),
)


@pytest.fixture(scope="module")
def alone(served_export):
    return Servable(served_export.version, "demo")


@pytest.fixture(scope="module")
def batched(served_export):
    return Servable(served_export.version, "demo", PARAMETERS)


def same(received, expected):
    assert set(received.outputs) == set(expected.outputs)
    for name, proto in expected.outputs.items():
        array = tf.make_ndarray(proto)
        other = tf.make_ndarray(received.outputs[name])
        if array.dtype == object:
            assert other.tolist() == array.tolist()
        else:
            np.testing.assert_allclose(other, array, rtol=1e-4, atol=1e-5)


def test_every_signature_answers_as_alone(alone, batched, served_export):
    requests = warmup_requests(served_export.version)
    assert len(requests) == 14
    for request in requests:
        same(batched.predict(request), alone.predict(request))


def recommend(number):
    exclude = [["", *(f"item-{i}" for i in range(1, 1 + number % 5))]]
    history = [[""] * (len(HISTORY) - 1) + [f"item-{1 + number % 60}"]]
    return predict_request(
        "recommend", history=history, k=[1 + number % 20], exclude=exclude
    )


def batches_so_far():
    lines = metrics.page().splitlines()
    name = ':tensorflow:serving:batching_session:input_batch_size_count{signature="'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_lists_of_many_widths_at_a_time(alone, batched):
    before = batches_so_far()
    with futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: batched.predict(recommend(n)), range(64)))
    assert batches_so_far() == before + 64
    for number, answer in enumerate(answers):
        same(answer, alone.predict(recommend(number)))


def test_requests_are_in_fact_joined(tmp_path):
    """A model that answers the size of the batch it was run in."""

    class Root(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def root(self, x):
            return {"rows": tf.zeros_like(x) + tf.cast(tf.shape(x)[0], tf.float32)}

    module = Root()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.root)
    waiting = BatchingParameters(max_batch_size=16, batch_timeout_micros=2_000_000)
    servable = Servable(tmp_path / "1", "demo", waiting)
    request = predict_request(name="demo", x=np.ones(1, np.float32))
    with futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: servable.predict(request), range(16)))
    rows = [tf.make_ndarray(answer.outputs["rows"]).tolist() for answer in answers]
    assert rows == [[16.0]] * 16


def test_a_wrong_request_spoils_no_other(alone, batched):
    good = predict_request("serving_examples", examples=[b""])
    bad = predict_request("serving_examples", examples=[b"no example"])
    expected = alone.predict(good)

    def ask(number):
        try:
            return batched.predict(bad if number % 4 == 0 else good)
        except StatusError as error:
            return error

    with futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(32)))
    for number, answer in enumerate(answers):
        if number % 4 == 0:
            assert answer.code is StatusCode.INVALID_ARGUMENT
        else:
            same(answer, expected)


def test_wide_lists_and_no_rows_go_alone(alone, batched):
    wide = predict_request(
        "recommend",
        history=[HISTORY],
        k=[5],
        exclude=[["", *(f"item-{i}" for i in range(1, 56)), *["x"] * 100]],
    )
    same(batched.predict(wide), alone.predict(wide))
    none = predict_request(history=np.zeros([0, len(HISTORY)], object))
    same(batched.predict(none), alone.predict(none))


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_input_is_widened_as_its_padding_says(side):
    rows = np.array([[b"a", b"b"]], object)
    wide = Padding(side, "").widen(rows, [-1, -1]).tolist()[0]
    blanks = [b""] * 62
    assert wide == ([b"a", b"b", *blanks] if side == "right" else [*blanks, b"a", b"b"])
    assert Padding(side, 0).widen(np.ones([1, 65], np.int32), [-1, -1]) is None
    assert (
        Padding(side, 7).widen(np.ones([2, 0]), [-1, -1]) == np.full([2, 64], 7)
    ).all()


def test_first_values_fill_free_dimensions_alone():
    array = np.arange(1, 13, dtype=np.float32).reshape([2, 2, 3])
    wide = Padding().widen(array, [-1, -1, 3])
    assert wide.shape == (2, 64, 3)
    assert wide[:, :2].tolist() == array.tolist()
    assert (wide[:, 2:] == 1).all()
    assert Padding().widen(np.ones([1, 65, 3]), [-1, -1, 3]) is None
    assert Padding().widen(np.ones([1, 0, 3]), [-1, -1, 3]) is None


@pytest.mark.parametrize("pads_all", [True, False])
def test_strangers_inputs_are_padded_by_the_flag_alone(tmp_path, pads_all):
    """A model that answers how wide its input came."""

    def answer(x):
        return {"width": tf.fill([tf.shape(x)[0]], tf.shape(x)[1])}

    specs = [models.spec([None, None])]
    models.save(tmp_path / "1", serving_default=(answer, specs))
    parameters = dataclasses.replace(PARAMETERS, pad_variable_length_inputs=pads_all)
    servable = Servable(tmp_path / "1", "demo", parameters)
    request = predict_request(name="demo", x=np.ones([1, 3], np.float32))
    width = tf.make_ndarray(servable.predict(request).outputs["width"]).tolist()
    assert width == [64 if pads_all else 3]


def test_the_exports_padding_changes_no_answer(alone, served_export):
    assert set(alone.paddings) == {"history", "exclude", "allow"}
    history, exclude, allow = ["item-3", "item-9"], ["item-1"], ["item-2", "item-5"]
    short = predict_request(
        "recommend_among", history=[history], k=[5], exclude=[exclude], allow=[allow]
    )
    long = predict_request(
        "recommend_among",
        history=[[""] * 6 + history],
        k=[5],
        exclude=[exclude + [""] * 9],
        allow=[allow + [""] * 4],
    )
    same(alone.predict(long), alone.predict(short))


def test_an_export_without_the_statement_answers_as_before(
    alone, served_export, tmp_path
):
    """One of before it was written: joined by equal shapes alone."""
    shutil.copytree(served_export.version, tmp_path / "1")
    servable = Servable(tmp_path / "1", "demo", PARAMETERS)
    assert servable.paddings == {}
    requests = [recommend(number) for number in range(32)]
    with futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(servable.predict, requests))
    for request, answer in zip(requests, answers, strict=True):
        same(answer, alone.predict(request))


def test_more_rows_than_a_batch_are_refused_in_tensorflow_servings_words(batched):
    with pytest.raises(StatusError) as caught:
        batched.predict(predict_request(history=[HISTORY] * 33))
    assert caught.value.code is StatusCode.INVALID_ARGUMENT
    assert caught.value.message == (
        "Task size 33 is larger than maximum input batch size 32"
    )


def test_parameters_are_read_as_tensorflow_serving_reads_them(tmp_path):
    path = tmp_path / "batching_parameters.txt"
    path.write_text(
        "max_batch_size { value: 64 } batch_timeout_micros { value: 500 }\n"
        "allowed_batch_sizes: 8 allowed_batch_sizes: 64\n"
        "num_batch_threads { value: 3 } max_enqueued_batches { value: 7 }\n"
        "pad_variable_length_inputs: true\n"
    )
    assert config_files.read_batching(path) == BatchingParameters(
        max_batch_size=64,
        batch_timeout_micros=500,
        max_enqueued_batches=7,
        num_batch_threads=3,
        allowed_batch_sizes=(8, 64),
        pad_variable_length_inputs=True,
    )


@pytest.mark.parametrize("name", ["batching_parameters.txt", "batching_throughput.txt"])
def test_shipped_parameters_can_be_read(name):
    from pathlib import Path

    import serving

    path = Path(serving.__file__).parent / name
    assert config_files.read_batching(path).max_batch_size == 64


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_batch_size { value: 0 }", "at least 1. Received: 0"),
        ("allowed_batch_sizes: 8", r"end with max_batch_size 1000. Received: \[8\]"),
        (
            "allowed_batch_sizes: 9 allowed_batch_sizes: 8 max_batch_size { value: 8 }",
            "must rise",
        ),
        ("batch_timeout_micros { value: -1 }", "Received: -1"),
        ("max_batch: 3", "max_batch"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, text, reason):
    path = tmp_path / "batching_parameters.txt"
    path.write_text(text)
    with pytest.raises(StatusError, match=reason):
        config_files.read_batching(path)
