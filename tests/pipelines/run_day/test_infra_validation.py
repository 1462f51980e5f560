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


def test_export_without_golden_requests_is_refused():
    with pytest.raises(ValueError, match="no golden request"):
        replay([], asked())
