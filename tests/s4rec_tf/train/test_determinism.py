"""One seed, equal weights: in any process, and with any number of threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ONE_THREAD_A_PRODUCT = "--xla_cpu_multi_thread_eigen=false"


def digest(threads, flags):
    done = subprocess.run(
        [sys.executable, "-m", "tests.s4rec_tf.train.threads", str(threads)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_weights_are_the_same_in_every_process():
    assert digest(2, "") == digest(2, "")


@pytest.mark.slow
def test_weights_are_the_same_with_any_number_of_threads():
    flags = ONE_THREAD_A_PRODUCT
    assert digest(1, flags) == digest(2, flags) == digest(4, flags)
