"""The export on another server, NVIDIA Triton, through KServe v2: the same answers."""

import grpc
import numpy as np
import pytest

from benchmarks import kserve, kserve_pb2, triton
from tests.s4rec_tf.export.standin import MAX_LENGTH
from tests.serving.export_requests import golden

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def infer(served_export, tmp_path_factory):
    """Calls a running Triton: rows of histories to outputs by name."""
    folder = tmp_path_factory.mktemp("triton")
    version = served_export.version
    triton.write_repository(folder / "models", "demo", version)
    triton.write_repository(
        folder / "models", "ranked", version, "recommend", ["item_ids", "is_fallback"]
    )
    with triton.running(folder / "models", folder / "log") as (address, _):
        with grpc.insecure_channel(address) as channel:
            call = channel.unary_unary(
                kserve.INFER,
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=kserve_pb2.InferResponse.FromString,
            )

            def ask(rows, name="demo", **more):
                request = kserve.history_request(name, rows)
                if more:
                    (history,) = rows
                    request = kserve.recommend_request(name, history, **more)
                return kserve.outputs_of(call(request, timeout=60))

            yield ask


def test_golden_requests(infer, served_export):
    lines = [
        line
        for line in golden(served_export)
        if line["signature_name"] == "serving_default"
    ]
    assert [len(line["inputs"]["history"]) for line in lines] == [1, 5]
    for line in lines:
        outputs = infer(line["inputs"]["history"])
        assert outputs["item_ids"] == line["outputs"]["item_ids"]
        flags = [flag for (flag,) in outputs["is_fallback"]]
        assert flags == line["outputs"]["is_fallback"]
        np.testing.assert_allclose(
            outputs["scores"], line["outputs"]["scores"], rtol=1e-4, atol=1e-5
        )


def test_many_at_a_time_are_each_answered_as_alone(infer, served_export):
    from concurrent import futures

    histories = [[""] * (MAX_LENGTH - 1) + [f"item-{n}"] for n in range(1, 31)]
    with futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda history: infer([history]), histories))
    for number, answer in enumerate(answers, start=1):
        expected, _ = served_export.expected([number], [number])
        assert answer["item_ids"] == [[f"item-{item}" for item in expected]]


def test_named_outputs_alone_of_a_signature_with_a_number_a_row(infer, served_export):
    history = [""] * (MAX_LENGTH - 2) + ["item-1", "item-2"]
    expected, _ = served_export.expected([1, 2], [1, 2])
    answer = infer([history], "ranked", k=3, exclude=[f"item-{expected[0]}"])
    assert set(answer) == {"item_ids", "is_fallback"}
    assert answer["is_fallback"] == [[False]]
    found = [item for item in answer["item_ids"][0] if item]
    assert found == [f"item-{item}" for item in expected[1:4]]


BAD = {
    "unknown model": ("nobody", [[""] * MAX_LENGTH], "NOT_FOUND"),
    "too narrow": ("demo", [["item-1"]], "INVALID_ARGUMENT"),
    "more rows than a batch": ("demo", [[""] * MAX_LENGTH] * 65, "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_requests_are_refused_and_the_next_answered(infer, case):
    name, rows, code = BAD[case]
    with pytest.raises(grpc.RpcError) as caught:
        infer(rows, name)
    assert caught.value.code().name == code
    assert infer([[""] * MAX_LENGTH])["is_fallback"] == [[True]]


def test_scores_of_nobody_are_finite(infer):
    scores = infer([[""] * MAX_LENGTH, ["nope"] * MAX_LENGTH])["scores"]
    assert np.isfinite(scores).all()
