"""Sizes of batches as requests see them."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import batch_sizes, requests, serving_export
from tests.s4rec_tf.export import standin
from tests.s4rec_tf.export.standin import MAX_LENGTH
from tests.serving import inside


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Has the counting export of a small one, and requests to it."""
    folder = tmp_path_factory.mktemp("counting")
    version = standin.export_once(tmp_path_factory).version
    serving_export.write_counting(version, folder)
    requests.write(folder, standin.NUM_ITEMS, max_k=3, count=4)
    return folder


def test_counting_export_answers_its_rows_besides(folder, tmp_path_factory):
    inputs = {
        "history": tf.constant([[""] * (MAX_LENGTH - 1) + ["item-3"]] * 3),
        "k": tf.constant([2, 2, 2]),
        "exclude": tf.constant([[""]] * 3),
    }
    version = folder / "counting" / requests.NAME / "1"
    counted = tf.saved_model.load(str(version)).signatures["recommend"](**inputs)
    assert counted.pop(batch_sizes.BATCH_ROWS).numpy().tolist() == [3, 3, 3]
    export = standin.export_once(tmp_path_factory).version
    plain = tf.saved_model.load(str(export)).signatures["recommend"](**inputs)
    assert set(counted) == set(plain)
    for name, expected in plain.items():
        np.testing.assert_array_equal(counted[name].numpy(), expected.numpy())


def test_a_server_is_sampled_while_the_load_lasts(folder):
    base = folder / "counting" / requests.NAME
    flags = ("--model_name", requests.NAME, "--model_base_path", base)
    with inside.server(*flags, "--enable_batching") as server:
        request = (folder / "predict" / "0000.bin").read_bytes()
        call = server.channel.unary_unary(batch_sizes.PREDICT)

        def load():
            for _ in range(50):
                call(request, timeout=60)

        seen = batch_sizes.seen(server.grpc_address, folder / "predict", load)
    # Beside at most one other request.
    assert seen and set(seen) <= {1, 2}


def test_processor_time_in_process_is_weighted_by_the_sizes_seen():
    in_process = [{"batch": 1, "cpu_ms": 2.0}, {"batch": 4, "cpu_ms": 0.5}]
    # 2.0, twice 1.0 and 0.5.
    found = batch_sizes.in_process_cpu_ms({1: 1, 3: 2, 4: 1}, in_process)
    assert found == pytest.approx((2.0 + 2 * 1.0 + 0.5) / 4)
