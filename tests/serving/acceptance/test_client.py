"""The client and its command, against either server."""

import json
import subprocess
import sys

import numpy as np
import pytest

from serving import client
from tests.s4rec_tf.export.standin import MAX_K


def run_client(*flags):
    return subprocess.run(
        [sys.executable, "-m", "serving.client", *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_command_prints_items_and_scores(server, served_export):
    common = ("--target", server.grpc_address, "--model_name", "demo")
    done = run_client(*common, "--history", "item-3,item-9", "--k", 5)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    items, scores = served_export.expected([3, 9], [3, 9], 5)
    assert [line[0] for line in lines] == [f"item-{item}" for item in items]
    received = [float(line[1]) for line in lines]
    np.testing.assert_allclose(received, scores, rtol=1e-4, atol=1e-5)


def test_command_prints_one_json_object(server, served_export):
    common = ("--target", server.grpc_address, "--model_name", "demo", "--json")
    done = run_client(*common, "--history", "item-3,item-9", "--k", 2)
    answer = json.loads(done.stdout)
    items = served_export.expected([3, 9], [3, 9], 2)[0]
    assert [row["item"] for row in answer["items"]] == [f"item-{i}" for i in items]
    assert answer["is_fallback"] is False


def recommend(target, *question, **wishes):
    with client.Client(target, "demo") as asking:
        return asking.recommend(*question, **wishes)


def test_client_excludes_and_includes(server, served_export):
    target = server.grpc_address
    answer = recommend(target, ["item-3"], 4, exclude=["item-1", "x"])
    expected = served_export.expected([3], [3, 1], 4)[0]
    assert [item for item, _ in answer.items] == [f"item-{i}" for i in expected]
    assert (answer.is_fallback, answer.version) == (False, 1)
    answer = recommend(target, ["item-3"], 4, include_history=True)
    expected = served_export.expected([3], [], 4)[0]
    assert [item for item, _ in answer.items] == [f"item-{i}" for i in expected]


def test_client_cuts_long_histories_but_excludes_all_of_them(server, served_export):
    history = list(range(1, 31))
    raw = [f"item-{item}" for item in history]
    answer = recommend(server.grpc_address, raw, MAX_K)
    expected = served_export.expected(history, history, MAX_K)[0]
    assert [item for item, _ in answer.items] == [f"item-{i}" for i in expected]


def test_client_answers_among_allowed_items(server, served_export):
    allow = ["item-9", "item-1", "item-2", "item-3"]
    target = server.grpc_address
    answer = recommend(target, ["item-3"], 5, exclude=["item-1"], allow=allow)
    others = set(range(1, 61)) - {9, 2}
    expected = served_export.expected([3], others, 5)[0]
    assert [item for item, _ in answer.items] == [f"item-{i}" for i in expected]
    assert len(answer.probabilities) == 2
    assert all(0 < value < 1 for value in answer.probabilities)


def test_client_asks_for_similar_items_and_reasons(server, served_export):
    with client.Client(server.grpc_address, "demo") as asking:
        answer = asking.similar_items("item-4", 3, exclude=["item-9"])
        # The two have the same vector.
        assert answer.items[0][0] == "item-8"
        assert answer.items[0][1] == pytest.approx(1.0, abs=1e-5)
        assert (len(answer.items), answer.is_fallback) == (3, False)
        reasons = asking.explain(["item-7"], "item-40")
    (best, effect), *others = reasons.influences
    assert (best, others) == ("item-7", [])
    assert effect == pytest.approx(reasons.score, rel=1e-5)
    assert not reasons.is_fallback


def test_command_asks_the_other_questions(server):
    common = ("--target", server.grpc_address, "--model_name", "demo")
    done = run_client(*common, "--similar_to", "item-4", "--k", 1)
    assert done.stdout == "item-8\t1.000000\n", done.stderr
    done = run_client(*common, "--history", "item-1,item-2", "--why", "item-3")
    items = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert sorted(items) == ["item-1", "item-2"], done.stderr
    flags = ("--history", "item-1", "--probabilities", "--allow", "item-2,item-5")
    done = run_client(*common, *flags)
    values = [float(line.split("\t")[1]) for line in done.stdout.splitlines()]
    assert len(values) == 2 and all(0 < value < 1 for value in values)
    assert "2 of 10 items" in done.stderr


@pytest.mark.parametrize("history", ["", "unknown,items"])
def test_command_notes_a_fallback(server, served_export, history):
    common = ("--target", server.grpc_address, "--model_name", "demo")
    done = run_client(*common, "--history", history, "--k", 3)
    assert done.returncode == 0
    assert "popular items" in done.stderr
    items = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert items == [f"item-{i}" for i in served_export.expected([], [], 3)[0]]


def test_command_fails_with_the_reason(server):
    done = run_client(
        "--target", server.grpc_address, "--model_name", "no", "--history", ""
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "NOT_FOUND" in done.stderr and done.stderr.count("\n") == 1
