"""That `make fuzz` has something to run, on a machine without its package."""

import contextlib
import importlib.util
import random
import sys
import types
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

HARNESS = Path(__file__).parent.parent / "fuzz" / "decode_requests.py"


@pytest.fixture(scope="module")
def harness():
    atheris = types.ModuleType("atheris")
    atheris.instrument_imports = lambda include: contextlib.nullcontext()
    spec = importlib.util.spec_from_file_location("decode_requests", HARNESS)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "atheris", atheris)
        spec.loader.exec_module(module)
    return module


def test_every_seed_is_a_good_request(harness):
    for seed in harness.seeds():
        harness.answer(seed)


def test_one_history_is_answered_as_a_message(harness, monkeypatch):
    def arrays(*args):
        raise AssertionError("went through arrays")

    requests = [
        predict_pb2.PredictRequest.FromString(seed[1:])
        for seed in harness.seeds()
        if seed[:1] == b"\0"
    ]
    (alone,) = (r for r in requests if not r.model_spec.signature_name)
    harness.API.models._decoder.learn(alone)
    monkeypatch.setattr(harness.Decoder, "_run", arrays)
    answer = harness.LOOP.run_until_complete(harness.API.predict(alone, harness.here))
    outputs = predict_pb2.PredictResponse.FromString(answer).outputs
    assert outputs["item_ids"].string_val[-1] == b""
    assert list(outputs["scores"].float_val) == [0.0] * harness.MAX_K


def test_damaged_requests_are_refused_or_answered(harness):
    draw = random.Random(3)
    for seed in harness.seeds() * 30:
        damaged = bytearray(seed)
        damaged[draw.randrange(1, len(seed))] = draw.randrange(256)
        with contextlib.suppress(harness.StatusError, DecodeError):
            harness.answer(bytes(damaged))
