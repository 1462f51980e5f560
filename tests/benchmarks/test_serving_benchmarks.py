"""The benchmarks of serving: their inputs, and what they make of measurements."""

import json
import struct

import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from benchmarks import item_space, kserve, kserve_pb2, requests, retrieval, serving


def test_truth_is_that_of_a_full_sort():
    space = item_space.generate(500, 12, 8, seed=3)
    scores = space.users.astype(np.float64) @ space.items.astype(np.float64).T
    expected = np.argsort(-scores, axis=1)[:, : item_space.TRUTH]
    np.testing.assert_array_equal(space.best, expected)


def test_truth_is_found_part_by_part(monkeypatch):
    whole = item_space.generate(500, 12, 8, seed=3).best
    monkeypatch.setattr(item_space, "_PART", 90)
    np.testing.assert_array_equal(item_space.generate(500, 12, 8, seed=3).best, whole)


def test_vectors_follow_the_seed():
    one, same, other = (item_space.generate(200, 4, 8, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.items, same.items)
    assert not np.array_equal(one.items, other.items)


def test_histories_are_as_long_as_those_of_beauty():
    rows = requests.histories(1000, 4000)
    lengths = [sum(map(bool, row)) for row in rows]
    assert min(lengths) == 5 and max(lengths) <= 50
    assert 8.0 < np.mean(lengths) < 9.5
    assert {len(row) for row in rows} == {50}
    assert all(row == sorted(row, key=bool) for row in rows)


def test_request_is_tf_servings():
    (history,) = requests.histories(100, 1)
    request = predict_pb2.PredictRequest.FromString(requests.predict(history))
    assert request.model_spec.name == "bench"
    tensor = request.inputs["history"]
    assert [dim.size for dim in tensor.tensor_shape.dim] == [1, 50]
    assert [item.decode() for item in tensor.string_val] == history


def test_kserve_answer_is_read_by_its_types():
    response = kserve_pb2.InferResponse()
    for name, datatype, shape, content in (
        ("item_ids", "BYTES", [2, 1], struct.pack("<I1sI2s", 1, b"a", 2, b"bc")),
        ("scores", "FP32", [2, 2], struct.pack("<4f", 1, 2, 3, 0.5)),
        ("is_fallback", "BOOL", [2], b"\x01\x00"),
    ):
        response.outputs.add(name=name, datatype=datatype, shape=shape)
        response.raw_output_contents.append(content)
    assert kserve.outputs_of(response) == {
        "item_ids": [["a"], ["bc"]],
        "scores": [[1.0, 2.0], [3.0, 0.5]],
        "is_fallback": [[True], [False]],
    }


def measured(offered, answered, p99, **codes):
    return {
        "offered_per_second": offered,
        "answered_per_second": answered,
        "codes": {"OK": 100, **codes},
        "ok_ms": {"p50": 1.0, "p99": p99, "p99.9": p99},
        "refused_ms": {},
    }


class FakeLoad:
    """A server that holds four fifths of its most, of which none fails."""

    def __init__(self, most, offered):
        self.most, self.offered = most, offered

    def saturate(self, workers):
        return measured(0, self.most, 50)

    def offer(self, rate):
        self.offered.append(rate)
        limit = 0.8 * self.most
        return measured(rate, min(rate, limit), 20.0 if rate <= limit else 500.0)


def test_highest_load_that_is_held_by_servers_that_take_turns(tmp_path):
    args, offered = serving.parse_args(["--items", "100"]), []
    loads = {"server": FakeLoad(1000.0, offered), "echo": FakeLoad(2000.0, offered)}
    found = serving.Benchmark(args, tmp_path)._rising(loads)
    assert found["server"]["held"]["offered_per_second"] == 800
    assert found["echo"]["held"]["offered_per_second"] == 1600
    rates = [250, 500, 400, 800, 500, 1000, 600, 1200, 700, 1400, 800, 1600]
    assert offered == [*rates, 900, 1800, 1000, 2000]


def test_of_turns_at_one_rate_the_median_counts(tmp_path):
    class Unsteady:
        def __init__(self, *p99):
            self.p99 = list(p99)

        def offer(self, rate):
            return measured(rate, rate, self.p99.pop(0))

    args = serving.parse_args(["--items", "100"])
    loads = {"echo": Unsteady(5, 4, 90, 6, 5), "server": Unsteady(9, 50, 12, 11, 80)}
    found = serving.Benchmark(args, tmp_path)._by_turns(loads, 100.0)
    assert {name: row["p99_ms"] for name, row in found.items()} == {
        "echo": 5,
        "server": 12,
    }


@pytest.mark.parametrize(
    ("report", "held"),
    [
        (measured(100, 98, 50), True),
        (measured(100, 96, 50), False),
        (measured(100, 100, 101), False),
        (measured(100, 100, 50, Unavailable=1), False),
        (measured(100, 100, 50, ResourceExhausted=1), False),
    ],
)
def test_what_a_held_load_is(tmp_path, report, held):
    args = serving.parse_args(["--items", "100"])
    row = serving._row("server", report)
    assert serving.Benchmark(args, tmp_path)._is_held(row) is held


@pytest.mark.parametrize("command", [retrieval, serving])
def test_sizes_that_make_no_sense(command, capsys):
    with pytest.raises(SystemExit):
        command.parse_args(["--items", "7"])
    assert "--items must be at least 100" in capsys.readouterr().err


@pytest.mark.slow
def test_retrieval_is_measured(tmp_path, capsys):
    page = tmp_path / "page.md"
    flags = ["--items", "400", "--only", "streaming", "--seconds", "0.05"]
    retrieval.main([*flags, "--users", "32", "--write", str(page)])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = {entry["table_dtype"]: entry for entry in report["entries"]}
    assert list(found) == ["float32", "bfloat16", "int8"]
    assert found["float32"]["recall_at_20"] == 1
    assert 0.8 < found["int8"]["recall_at_20_excluding_50"] <= 1
    lines = page.read_text("utf-8").splitlines()
    assert sum(line.startswith("| 400 | streaming |") for line in lines) == 3
