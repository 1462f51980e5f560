"""The arithmetic of the swap benchmark, and the whole of it on a small model."""

import json
import subprocess
import sys

import pytest

from benchmarks.swaps import Sent, percentile, summary


def test_percentile_is_a_value_that_occurred():
    values = [n / 1000 for n in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([0.007], 0.99) == 7


def test_requests_are_told_apart_by_when_they_were_due():
    sent = [
        Sent(1.0, 0.010, True, 1),
        Sent(2.0, 0.020, True, 1),
        Sent(10.5, 0.300, True, 2),
        Sent(12.0, 0.030, True, 2),
        Sent(12.1, 0.001, False, 0),
    ]
    received = summary(sent, [(10.0, 11.0)], [100.0, 150.0], first_swap=10.0)
    assert received["steady_p99_ms"] == 20
    assert received["swap_p99_ms"] == 300
    assert (received["requests"], received["failed"]) == (5, 1)
    assert received["versions_that_answered"] == 2
    assert (received["memory_first_mib"], received["memory_last_mib"]) == (100, 150)


@pytest.mark.slow
def test_no_request_fails_and_memory_stays():
    command = [sys.executable, "-m", "benchmarks.swaps", "--items", "300"]
    bounds = ["--swaps", "12", "--steady_seconds", "3", "--pause_seconds", "0.5"]
    done = subprocess.run(
        [*command, *bounds], capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    received = json.loads(done.stdout.splitlines()[-1])
    assert received["failed"] == 0
    assert received["versions_that_answered"] == 13
    assert received["memory_last_mib"] < 1.1 * received["memory_10th_mib"]
