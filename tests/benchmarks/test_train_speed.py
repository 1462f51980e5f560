"""The benchmark of training, end to end at a tiny shape, and its arithmetic."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import train_speed
from benchmarks.child import Child, ChildError
from benchmarks.peers import PeerError
from benchmarks.stopwatch import Stopwatch
from benchmarks.turns import check_same_task

ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str, timeout: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.train_speed", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=timeout,
    )


@pytest.mark.slow
def test_last_line_is_the_report():
    done = run(
        *("--only", "sasrec", "--shape", "tiny", "--peer", "none"),
        *("--seconds", "0.2", "--steps", "5", "--set", "num_layers=1"),
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    # These are measured at Beauty's shape alone.
    assert report["vs_recbole"] is report["peer"] is report["cost_per_user"] is None
    entry = report["sasrec"]["tiny"]
    positive = (
        *("users_per_second", "pairs_per_second", "tokens_per_second", "peak_ratio"),
        *("loss_peak_ratio", "peak_memory_gib", "ceiling_gflops", "flops_per_user"),
    )
    assert all(entry[name] > 0 for name in positive)
    assert entry["steps"] == 5
    # Prefix samples: a row is a pair, of one token or more.
    assert entry["pairs_per_second"] == entry["users_per_second"]
    assert entry["tokens_per_second"] > entry["users_per_second"]
    assert set(entry["breakdown_ms"]) == {
        *("input", "augmentation", "encoder", "logits_and_loss", "optimizer"),
        *("step", "median_step"),
    }


def test_figures_by_hand():
    measured = {"rows": 512, "pairs": 512.0, "seconds": 0.5, "steps": 2}
    # 1024 rows a second of 2e6 operations are 2.048e9, half of a ceiling of 4.096e9;
    # 256 rows of 1e6 in 125 ms are 2.048e9 too.
    cost = {"tokens": 3.0, "flops": 2e6, "loss_flops": 1e6}
    breakdown = {"encoder": 100.0, "logits_and_loss": 125.0}
    entry = train_speed.figures(
        measured | {"median_step_ms": 240.0}, cost, breakdown, 4.096e9
    )
    assert entry["users_per_second"] == 1024
    assert entry["tokens_per_second"] == 3072
    assert entry["peak_ratio"] == 0.5
    assert entry["loss_peak_ratio"] == 0.5
    assert entry["breakdown_ms"] == {
        **{"encoder": 100.0, "logits_and_loss": 125.0},
        **{"step": 250.0, "median_step": 240.0},
    }


def test_a_peer_with_another_task_is_refused():
    ours = {"num_pairs": 10, "num_items": 5}
    check_same_task(ours, ours)
    with pytest.raises(PeerError, match=r"`num_pairs`, 10. Received: 9"):
        check_same_task(ours, {"num_pairs": 9, "num_items": 5})


def test_stopwatch_leaves_the_warm_up_out(monkeypatch):
    clock = iter([0.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 17.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    stopwatch = Stopwatch(warm_up=12.5, seconds=100.0, max_steps=3)
    # Steps end at 10, 11, 12 and 13, with which the warm-up is over; three are timed.
    ended = [stopwatch.step_ended() for _ in range(7)]
    assert ended == [False] * 6 + [True]
    assert (stopwatch.steps, stopwatch.seconds) == (3, 4.0)
    assert stopwatch.median_step_ms == 1000.0


@pytest.mark.parametrize(
    ("ends", "timed_from"),
    [
        # The fourth step is a compilation: the warm-up lasts until 3 even ones follow.
        ([1, 2, 3, 13, 14, 15, 16, 17], 16),
        # Steps that never become even are timed after eight times the warm-up.
        ([1, 8, 9, 16, 17, 24, 25, 26], 16),
    ],
)
def test_a_warm_up_lasts_while_something_is_compiled(monkeypatch, ends, timed_from):
    clock = iter([0, *ends])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    stopwatch = Stopwatch(warm_up=2, seconds=100, max_steps=3)
    for _ in ends:
        stopwatch.step_ended()
    assert stopwatch.times[0] == timed_from


def test_a_child_that_fails_says_why():
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with (
        pytest.raises(ChildError, match=r"exit code 1.*'measure'"),
        Child(command) as c,
    ):
        c.ask("measure")


def test_a_wrong_number_is_refused():
    done = run("--seconds", "0", timeout=60)
    assert done.returncode == 2
    assert "Received: 0.0" in done.stderr


@pytest.mark.slow
def test_peer_trains_on_the_same_pairs():
    done = run("--only", "sasrec", "--shape", "beauty", "--seconds", "2", timeout=1500)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["vs_recbole"] > 1
    assert 0.5 < report["cost_per_user"]["cost_ratio"] < 2
    assert report["peer"].startswith("recbole 1.2.1, torch 2.")
    # (V + 1) d items, 50 d positions, 2 blocks of 12 d^2 + 13 d, a norm of 2 d: d = 64.
    blocks = 2 * (12 * 64**2 + 13 * 64)
    assert report["peer_task"]["parameters"] == 12_102 * 64 + 50 * 64 + blocks + 128
