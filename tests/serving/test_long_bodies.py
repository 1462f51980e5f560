"""A long body over REST holds no other call up, and is read as a short one is."""

import json
import random
import threading
import time

import pytest

from serving.servables import json_text
from serving.status import StatusError
from tests.serving import inside
from tests.serving.export_requests import HISTORY, predict_request

STALL_SECONDS = 0.2
"""A call waited for 0.76 s when bodies were read and copied at once."""

IDS = [f"item-no-{number}" for number in range(850_000)]
LONG = {
    "one long list": {"inputs": {"history": [IDS]}},
    "many rows": {"instances": [IDS[n : n + 50] for n in range(0, 850_000, 50)]},
    "named rows": {
        "instances": [{"history": IDS[n : n + 50]} for n in range(0, 850_000, 50)]
    },
}


def longest_call(server, seconds, work):
    """The longest of the calls over gRPC while the work lasts.

    In seconds that this process works, the server being part of it: others of the
    machine do not count.
    """
    thread, longest = threading.Thread(target=work), 0.0
    request = predict_request(history=[HISTORY])
    server.prediction.Predict(request, timeout=30)
    thread.start()
    end = time.monotonic() + seconds
    while thread.is_alive() or time.monotonic() < end:
        start = time.process_time()
        server.prediction.Predict(request, timeout=30)
        longest = max(longest, time.process_time() - start)
    thread.join()
    return longest


@pytest.fixture(scope="module")
def server(served_export):
    flags = ("--model_name", "demo", "--model_base_path", served_export.export_dir)
    with inside.server(*flags) as answering:
        yield answering


@pytest.mark.parametrize("name", LONG)
def test_other_calls_are_answered_meanwhile(server, name):
    body = json.dumps(LONG[name]).encode()
    assert 15e6 < len(body) < 16 * 2**20
    path, statuses = "/v1/models/demo:predict", []

    def send():
        statuses.append(server.http("POST", path, body)[0])

    stalls = [longest_call(server, 0.5, send) for _ in range(3)]
    assert min(stalls) < STALL_SECONDS, stalls
    # Rows beyond the bound are refused, after they are read.
    assert set(statuses) == {200 if name == "one long list" else 400}


def documents():
    draw = random.Random(5)

    def value(depth):
        kind = draw.randrange(8 if depth < 4 else 5)
        if kind < 5:
            text = draw.choice(['a"],["b', "],", "},{", "\\", "é", "", "x y", "[1,2]"])
            number = draw.uniform(-1e9, 1e9)
            return [text, number, draw.randrange(-9, 10**12), True, None][kind]
        size = draw.choice([0, 1, 2, 5])
        if kind == 5:
            return {f"k{n}]": value(depth + 1) for n in range(size)}
        return [value(depth + 1) for _ in range(size)]

    for _ in range(4):
        yield {"instances": [value(draw.randrange(4)) for _ in range(4000)]}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", " : ")])
def test_long_documents_are_read_as_python_reads_them(separators):
    for document in documents():
        text = json.dumps(document, separators=separators)
        assert len(text) > 2**16
        assert json_text.parse(text.encode()) == document


GOOD = "[" + ",".join(["1"] * 200_000)


@pytest.mark.parametrize(
    "end", [",]", ",,1]", "", ",", "1 2]", ',"]', ",[1,2]", ",1e400]", "]]", ",nul]"]
)
def test_what_is_wrong_in_a_long_document_is_refused(end):
    for start in (GOOD, GOOD.replace("1", "[1]"), GOOD.replace("1", '{"a":1}')):
        with pytest.raises(StatusError, match="JSON Parse error"):
            json_text.parse(f'{{"inputs": {start}{end}}}'.encode())
