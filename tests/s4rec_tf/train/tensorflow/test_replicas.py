"""Two replicas of half a batch must do what one does with the whole of it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[4]


# Adam alone would hide a gradient of the wrong scale.
@pytest.fixture(
    scope="module",
    params=[
        ("sgd", "prefix"),
        pytest.param(("sgd", "sequence"), marks=pytest.mark.slow),
        pytest.param(("sgd", "users"), marks=pytest.mark.slow),
        pytest.param(("adam", "prefix"), marks=pytest.mark.slow),
        pytest.param(("lazy_adam", "prefix"), marks=pytest.mark.slow),
    ],
)
def results(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("replicas") / "results.npz"
    script = Path(__file__).with_name("replica_steps.py")
    subprocess.run(
        [sys.executable, str(script), str(path), *request.param],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with np.load(path) as stored:
        return dict(stored)


def test_sinkhorn_targets_are_those_of_the_global_batch(results):
    np.testing.assert_allclose(
        results["two/targets"], results["one/targets"], atol=1e-6
    )


def test_loss_terms_agree(results):
    terms = [name for name in results if name.startswith("one/log/")]
    assert len(terms) == 11  # five terms, each weighted and not, and their sum
    for name in terms:
        other = results[name.replace("one/", "two/", 1)]
        np.testing.assert_allclose(other, results[name], rtol=1e-5, err_msg=name)


def test_weights_agree_after_some_steps(results):
    names = [name for name in results if name.startswith("one/weight")]
    assert len(names) == 20
    for name in names:
        other = results[name.replace("one/", "two/", 1)]
        np.testing.assert_allclose(other, results[name], atol=2e-5, err_msg=name)
