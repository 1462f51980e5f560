"""That `make fuzz` has something to run, on a machine without its package."""

import contextlib
import importlib.util
import random
import re
import sys
import types
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError

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
    over_http = 0
    for seed in harness.seeds():
        sent = harness.answer(seed)
        assert set(re.findall(rb"HTTP/1.1 (\d+)", sent)) <= {b"100", b"200"}
        over_http += sent.count(b"HTTP/1.1 200")
    assert over_http == 7


def test_faults_of_the_server_end_a_run(harness, monkeypatch):
    seed = next(seed for seed in harness.seeds() if seed[0] == 6)
    monkeypatch.setattr(harness.rest_api.json_text, "parse", lambda body: 1 / 0)
    with pytest.raises(AssertionError, match="division"):
        harness.answer(seed)
    harness.FAULTS.clear()


def test_damaged_requests_are_refused_or_answered(harness):
    draw = random.Random(3)
    for seed in harness.seeds() * 30:
        damaged = bytearray(seed)
        damaged[draw.randrange(1, len(seed))] = draw.randrange(256)
        with contextlib.suppress(harness.StatusError, DecodeError):
            harness.answer(bytes(damaged))
