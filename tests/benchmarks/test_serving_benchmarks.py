"""The benchmarks of serving: their inputs, and what they make of measurements."""

import contextlib
import dataclasses
import json
import os
import struct
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from benchmarks import (
    held_load,
    item_space,
    kserve,
    kserve_pb2,
    process_memory,
    requests,
    retrieval,
    served,
    serving,
    serving_page,
)
from serving import flags as flags_module


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


QUESTION = requests.Question(["", "item-3"], 7, ["item-1", "item-2"])


def test_requests_ask_what_the_client_asks():
    request = predict_pb2.PredictRequest.FromString(requests.predict(QUESTION))
    assert request.model_spec.name == "bench"
    assert request.model_spec.signature_name == "recommend"
    inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
    assert {name: array.tolist() for name, array in inputs.items()} == {
        "history": [[b"", b"item-3"]],
        "k": [7],
        # Led by "", as the client's are.
        "exclude": [[b"", b"item-1", b"item-2"]],
    }
    assert json.loads(requests.rest(QUESTION)) == {
        "signature_name": "recommend",
        "instances": [
            {
                "history": ["", "item-3"],
                "k": 7,
                "exclude": ["", "item-1", "item-2"],
            }
        ],
    }


def test_kserve_request_asks_the_same():
    request = kserve_pb2.InferRequest.FromString(requests.infer(QUESTION))
    assert [(i.name, i.datatype, list(i.shape)) for i in request.inputs] == [
        ("history", "BYTES", [1, 2]),
        ("k", "INT32", [1, 1]),
        ("exclude", "BYTES", [1, 3]),
    ]
    history, k, exclude = request.raw_input_contents
    assert history == b"\0\0\0\0" + b"\6\0\0\0item-3"
    assert k == b"\7\0\0\0"
    assert exclude.endswith(b"\6\0\0\0item-1\6\0\0\0item-2")


def test_questions_exclude_up_to_three_items():
    asked = requests.questions(1000, 400, max_k=5)
    assert {len(question.exclude) for question in asked} == {0, 1, 2, 3}
    assert {question.k for question in asked} == {5}
    assert [question.history for question in asked] == requests.histories(1000, 400)


def test_several_servers_share_the_port_of_grpc_alone(monkeypatch, tmp_path):
    started = []

    @contextlib.contextmanager
    def processes(commands, log):
        started.extend(commands)
        yield tuple(range(len(commands)))

    monkeypatch.setattr(served, "_processes", processes)
    with served.embedded(tmp_path, ["--enable_batching"], tmp_path / "log", 2) as both:
        assert both.pids == (0, 1)
    flags = [flags_module.parse_args(command[3:]) for command in started]
    assert len({args.port for args in flags}) == 1
    assert len({args.rest_api_port for args in flags}) == 2
    for args in flags:
        assert args.grpc_channel_arguments == [("grpc.so_reuseport", 1)]


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
        "answered_in_all": 1000,
        "codes": {"OK": 100, **codes},
        "ok_ms": {"p50": 1.0, "p99": p99, "p99.9": p99},
        "refused_ms": {},
    }


def load(offered, answered, p99, **codes):
    return held_load.read("server", measured(offered, answered, p99, **codes), 2.5)


RISING = [
    load(442.1, 441.9, 15.2),
    load(710, 709.0, 30.3),
    load(889.5, 870.2, 879.5),
    load(1068.4, 1037.4, 374.0),
    load(1246.1, 1243.4, 69.8),
    load(1428.9, 1423.1, 345.3),
]
"""Loads of a run of 2026-11-22, of which the fifth looked well by chance."""


def test_held_is_the_highest_load_below_the_first_that_fails():
    held = held_load.highest_held(RISING, 100.0)
    assert held.answered_per_second == 709.0
    assert held_load.highest_held(RISING, 30.0).answered_per_second == 441.9
    assert held_load.highest_held(RISING[:2], 50.0) == RISING[1]


def test_nothing_is_held_where_the_lowest_load_fails():
    assert held_load.highest_held(RISING, 15.0) is None
    assert held_load.highest_held(RISING[2:], 50.0) is None


@pytest.mark.parametrize(
    ("report", "held"),
    [
        (measured(100, 98, 50), True),
        (measured(100, 96, 50), False),
        (measured(100, 100, 50.1), False),
        (measured(100, 100, None), False),
        (measured(100, 100, 50, Unavailable=1), False),
        (measured(100, 100, 50, ResourceExhausted=1), False),
    ],
)
def test_what_a_held_load_is(report, held):
    assert held_load.read("server", report, 0.0).is_held(50.0) is held


def test_a_load_is_read_with_its_processor_time():
    report = measured(
        100.04, 99.96, 20.0, ResourceExhausted=3, Unavailable=1, Unknown=1
    )
    assert held_load.read("server", report, 2.5) == held_load.Offered(
        server="server",
        offered_per_second=100.0,
        answered_per_second=100.0,
        p50_ms=1.0,
        p99_ms=20.0,
        p999_ms=20.0,
        shed=3,
        failed=2,
        cpu_ms=2.5,
    )
    none = {**measured(100, 0, None), "answered_in_all": 0, "ok_ms": {}}
    assert held_load.read("server", none, 1.0).cpu_ms is None


def test_of_several_passes_the_median_counts_and_every_failure():
    passes = [
        load(100, 100, 20.0),
        load(102, 99, 90.0, Unavailable=2),
        load(101, 101, 30.0, ResourceExhausted=1),
    ]
    found = held_load.median(passes)
    assert (found.offered_per_second, found.answered_per_second) == (101, 100)
    assert (found.p99_ms, found.failed, found.shed) == (30.0, 2, 1)
    endless = held_load.median([load(9, 0, None), load(9, 0, None), load(9, 9, 5.0)])
    assert endless.p99_ms is None


class FakeLoad:
    """A server that holds four fifths of its most."""

    def __init__(self, most, offered):
        self.most, self.offered = most, offered

    def saturate(self, workers):
        return measured(0, self.most, 50)

    def offer(self, rate):
        self.offered.append(rate)
        limit = 0.8 * self.most
        return measured(rate, min(rate, limit), 20.0 if rate <= limit else 500.0)


def fake(name, *load):
    return serving.Target(name, FakeLoad(*load), lambda: 0.0)


def test_rows_in_process_are_measured_in_passes(monkeypatch, tmp_path):
    times = iter([9.0] * 7 + [1.0] * 7 + [4.0] * 7)

    class Worker(contextlib.nullcontext):
        def ask(self, command, batch, **more):
            return {"batch": batch, "rows_per_second": 5.0, "cpu_ms": next(times)}

    worker = Worker()
    monkeypatch.setattr(Worker, "__enter__", lambda self: worker)
    monkeypatch.setattr(serving, "Child", lambda command: worker)
    args = serving.parse_args(["--items", "100", "--passes", "3"])
    found = serving.Benchmark(args, tmp_path)._in_process()
    assert [row["batch"] for row in found] == list(serving.IN_PROCESS_BATCHES)
    assert {row["cpu_ms"] for row in found} == {4.0}


def test_servers_take_turns_at_rising_loads_in_every_pass(tmp_path):
    args = serving.parse_args(["--items", "100", "--passes", "2"])
    offered = []
    targets = {
        "server": fake("server", 1000.0, offered),
        "echo": fake("echo", 2000.0, offered),
    }
    found = serving.Benchmark(args, tmp_path).rising(targets)
    assert found["server"]["held"]["offered_per_second"] == 800
    assert found["echo"]["held"]["offered_per_second"] == 1600
    rates = [250, 500, 400, 800, 500, 1000, 600, 1200, 700, 1400, 800, 1600]
    assert offered == [*rates, 900, 1800, 1000, 2000] * 2
    assert [len(found[name]["rows"]) for name in found] == [8, 8]


def test_of_turns_at_one_rate_the_median_counts(tmp_path):
    class Unsteady:
        def __init__(self, *p99):
            self.p99 = list(p99)

        def offer(self, rate):
            return measured(rate, rate, self.p99.pop(0))

    args = serving.parse_args(["--items", "100"])
    targets = {
        name: serving.Target(name, Unsteady(*p99), lambda: 0.0)
        for name, p99 in {
            "echo_loop": (5, 4, 90, 6, 5),
            "server": (9, 50, 12, 11, 80),
        }.items()
    }
    found = serving.Benchmark(args, tmp_path).by_turns(targets, 100.0)
    assert {name: row["p99_ms"] for name, row in found.items()} == {
        "echo_loop": 5,
        "server": 12,
    }


def test_headline_compares_what_is_held():
    rows = [dataclasses.asdict(RISING[1])]
    servers = {
        "server": {"held": rows[0], "rows": rows},
        "triton": {"held": {"answered_per_second": 606.0}, "rows": []},
    }
    compared = {"server": {"p99_ms": 12.0}, "echo_loop": {"p99_ms": 5.0}}
    in_process = [{"batch": 1, "cpu_ms": 2.0}, {"batch": 8, "cpu_ms": 1.0}]
    found = serving_page.headline(servers, compared, in_process, {1: 3, 8: 1})
    assert found == {
        "requests_per_second": 709.0,
        "p50_ms": 1.0,
        "p99_ms": 30.3,
        "failed": 0,
        "vs_triton": 1.17,
        "p99_vs_echo": 2.4,
        "cpu_vs_in_process": {"1": 1.25, "8": 2.5, "seen": 1.429},
    }
    servers["server"]["held"] = None
    found = serving_page.headline(servers, compared, in_process, {1: 1})
    assert (found["requests_per_second"], found["vs_triton"]) == (None, None)


def test_processor_time_of_a_family():
    before = process_memory.family_cpu_seconds(os.getpid())
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    taken = process_memory.family_cpu_seconds(os.getpid()) - before
    assert 0.25 <= taken < 3
    assert process_memory.family_cpu_seconds(2**22 + 1) == 0


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
