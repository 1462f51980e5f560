"""The comparison of a server's answers with golden ones.

`test_real_days.py` does it with a real server.
"""

import copy

import numpy as np
import pytest

from pipelines.run_day.infra_validation import replay

GOLDEN = [
    {
        "signature_name": "recommend",
        "inputs": {"history": [["a"]]},
        "outputs": {"item_ids": [["b", "c"]], "scores": [[1.0, 0.5]]},
    }
]


def asked(**changes):
    outputs = {"item_ids": [["b", "c"]], "scores": np.array([[1.0, 0.500001]])}
    return lambda signature, inputs: copy.deepcopy(outputs) | changes


def test_equal_answers_pass():
    replay(GOLDEN, asked())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"item_ids": [["c", "b"]]}, "item_ids"),
        ({"scores": np.array([[1.0, 0.6]])}, "scores"),
        ({"scores": np.array([[1.0, np.nan]])}, "scores"),
        ({"scores": None}, "scores"),
    ],
)
def test_other_answers_are_named(changes, name):
    text = rf"golden request 1 \(recommend\): {name} must be as the model answered"
    with pytest.raises(ValueError, match=text):
        replay(GOLDEN, asked(**changes))


NEAR = {
    "recommend": {
        "item_ids": [["b", "c", "d"]],
        "scores": [[1.0, 0.500004, 0.5]],
    },
    "explain": {
        "item_ids": [["b", "c", "b", ""]],
        "influences": [[0.3, 0.2, -0.199999, 0.0]],
    },
}


def answers(signature, items, values):
    golden = {"signature_name": signature, "inputs": {}, "outputs": NEAR[signature]}
    name = "scores" if signature == "recommend" else "influences"
    found = {"item_ids": [items], name: np.array([values])}
    replay([golden], lambda *_: found)


@pytest.mark.parametrize(
    ("signature", "items", "values"),
    [
        ("recommend", ["b", "d", "c"], [1.0, 0.500002, 0.500001]),
        ("recommend", ["b", "c", "e"], [1.0, 0.5, 0.499999]),  # as good as the last
        ("explain", ["b", "b", "c", ""], [0.3, -0.2, 0.2, 0.0]),
    ],
)
def test_items_may_change_places_with_equals(signature, items, values):
    answers(signature, items, values)


@pytest.mark.parametrize(
    ("signature", "items", "values"),
    [
        ("recommend", ["c", "b", "d"], [1.0, 0.5, 0.5]),
        ("recommend", ["b", "e", "d"], [1.0, 0.51, 0.5]),
        ("recommend", ["e", "c", "d"], [1.0, 0.5, 0.5]),
        ("recommend", ["b", "c"], [1.0, 0.5]),
        ("explain", ["c", "b", "b", ""], [0.3, 0.2, -0.2, 0.0]),
        ("explain", ["b", "c", "b", ""], [0.3, -0.2, 0.2, 0.0]),
        ("explain", ["b", "c", "b", ""], [0.3, 0.2, 0.2, 0.0]),
    ],
)
def test_other_items_at_a_value_are_refused(signature, items, values):
    with pytest.raises(ValueError, match="must be as the model answered"):
        answers(signature, items, values)


def test_export_without_golden_requests_is_refused():
    with pytest.raises(ValueError, match="no golden request"):
        replay([], asked())
