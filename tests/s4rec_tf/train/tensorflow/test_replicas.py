"""Replicas of parts of a batch must do what one does with the whole of it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[4]


MINUTES = pytest.mark.slow
TERMS = {"s4rec": 5, "iclrec": 3, "dssrec": 2}


# Adam alone would hide a gradient of the wrong scale.
@pytest.fixture(
    scope="module",
    params=[
        ("s4rec", "sgd", "prefix", 2, 4),
        pytest.param(("s4rec", "sgd", "sequence", 2, 4), marks=MINUTES),
        pytest.param(("s4rec", "sgd", "users", 2, 4), marks=MINUTES),
        *(
            pytest.param((*case, "prefix", devices, 50), marks=MINUTES)
            for case in (
                *(("s4rec", "sgd"), ("iclrec", "sgd"), ("dssrec", "sgd")),
                *(("s4rec", "adam"), ("iclrec", "adam"), ("dssrec", "adam")),
                ("s4rec", "lazy_adam"),  # with a sampled softmax
            )
            for devices in (2, 4)
        ),
    ],
    ids=lambda param: "-".join(map(str, param)),
)
def results(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("replicas") / "results.npz"
    script = Path(__file__).with_name("replica_steps.py")
    subprocess.run(
        [sys.executable, str(script), str(path), *map(str, request.param)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with np.load(path) as stored:
        return request.param, dict(stored)


def test_sinkhorn_targets_are_those_of_the_global_batch(results):
    _, found = results
    np.testing.assert_allclose(found["many/targets"], found["one/targets"], atol=1e-6)


def test_loss_terms_agree(results):
    (model, *_), found = results
    terms = [name for name in found if name.startswith("one/log/")]
    assert len(terms) == 2 * TERMS[model] + 1  # each weighted and not, and their sum
    for name in terms:
        other = found[name.replace("one/", "many/", 1)]
        np.testing.assert_allclose(other, found[name], rtol=1e-5, err_msg=name)


def test_weights_agree_after_the_steps(results):
    (model, optimizer, *_), found = results
    # Adam makes a step of a gradient that is rounding alone, as a key's bias has it.
    tolerance = 1e-3 if optimizer == "adam" else 1e-4
    names = [name for name in found if name.startswith("one/weight")]
    assert len(names) == 20 or model != "s4rec"
    for name in names:
        other = found[name.replace("one/", "many/", 1)]
        np.testing.assert_allclose(
            other, found[name], rtol=0, atol=tolerance, err_msg=name
        )
