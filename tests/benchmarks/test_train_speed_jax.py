"""The benchmark of training on JAX, in processes that find no TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers, stopwatch, turns
from benchmarks.peers import PeerError
from s4rec_tf import spec
from s4rec_tf.data.array_file import ArrayDataset, write_arrays
from s4rec_tf.data.sequences import Sequences

ROOT = Path(__file__).parent.parent.parent

# Stands for a Python that has PyTorch, and speaks as `benchmarks.torch_worker` does.
TORCH = f"""#!{sys.executable}
import json, sys
import numpy as np

if sys.argv[1] == "-c":
    print("torch")
    sys.exit()
assert sys.argv[1:4] == ["-m", "benchmarks.torch_worker", "--compile"]
flags = dict(zip(sys.argv[4::2], sys.argv[5::2]))
lengths = np.diff(np.load(flags["--sequences"])["offsets"])
facts = {{name: int(flags["--" + name]) for name in ("num_items", "batch_size")}}
answers = {{
    "facts": {{"peer": "torch 0", "num_pairs": int((lengths - 1).sum()), **facts}},
    "measure": {{"pairs": 1, "seconds": 4.0}},
}}
for line in sys.stdin:
    print(json.dumps(answers[json.loads(line)["name"]]), flush=True)
"""


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """Variables under which there is no TensorFlow."""
    folder = tmp_path_factory.mktemp("hidden")
    absent = "raise ModuleNotFoundError('hidden', name='tensorflow')"
    (folder / "tensorflow.py").write_text(absent)
    return {"PYTHONPATH": str(folder)}


def run(surroundings, *flags, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.train_speed_jax", *map(str, flags)],
        env={**os.environ, **surroundings, **environment},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
    )


def settings(*values):
    return [word for value in values for word in ("--set", value)]


SHORT = ("--shape", "tiny", "--seconds", "0.2", "--steps", "10")
SHORT += tuple(settings("dim=8", "num_layers=1", "max_length=6", "batch_size=128"))


def write_executable(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def split(rows, target_ids):
    lengths = np.array([len(row) for row in rows])
    return Sequences(
        user_ids=np.array([b"%d" % user for user in range(len(rows))], object),
        values=np.concatenate(rows).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        target_ids=np.asarray(target_ids, np.int32),
        is_head=np.arange(len(rows)) < 8,
        sequence_lengths=lengths.astype(np.int32),
    )


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """Forty users who go round twelve items in their order."""
    rows = [[(user + n) % 12 + 1 for n in range(8)] for user in range(40)]
    splits = {
        "train": split([row[:-2] for row in rows], [0] * 40),
        "valid": split([row[:-2] for row in rows], [row[-2] for row in rows]),
        "test": split([row[:-1] for row in rows], [row[-1] for row in rows]),
    }
    counts = np.bincount(np.concatenate(rows), minlength=13)[1:]
    examples = dict.fromkeys(splits, 40)
    info = spec.DatasetInfo(40, 12, 320, 8, 0.2, 8, 8, examples)
    path = tmp_path_factory.mktemp("arrays") / "dataset.npz"
    write_arrays(path, ArrayDataset(info, counts, splits, "round"))
    return path


def check_entry(entry):
    positive = (
        *("users_per_second", "pairs_per_second", "tokens_per_second"),
        *("peak_ratio", "ceiling_gflops", "compile_seconds", "epoch_seconds"),
    )
    assert all(entry[name] > 0 for name in positive)
    assert (entry["batch_size"], entry["device_memory_gib"]) == (128, None)
    assert entry["pairs_per_second"] == entry["users_per_second"]
    assert entry["epoch_seconds"] > 1e-3 * entry["step_ms"]["median_step"]


@pytest.mark.slow
def test_last_line_is_the_report(surroundings, tmp_path):
    python = write_executable(tmp_path / "python", TORCH)
    flags = ("--peer_python", python, "--peer_compile", "--only", "sasrec")
    done = run(surroundings, *SHORT, *flags)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["versions"].startswith("jax ")
    # 1,168 prefixes are an epoch of 9 steps, which is no more than ten.
    check_entry(report["sasrec"])
    assert report["peer_task"] == {
        **{"peer": "torch 0", "batch_size": 128},
        **{"num_pairs": 1168, "num_items": 300},
    }
    # The stub does a pair in 4 seconds.
    assert report["vs_pytorch"] > 4
    assert "times the pairs of torch 0" in done.stdout


@pytest.mark.slow
def test_s4rec_is_measured_with_its_views(arrays, surroundings):
    done = run(surroundings, *SHORT, "--peer", "none", "--arrays", arrays)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["vs_pytorch"] is report["peer"] is None
    check_entry(report["s4rec"])
    # Of each of 40 users the prefixes 1 to 5 long; views are at most as long.
    one, three = (
        report[model]["tokens_per_second"] / report[model]["users_per_second"]
        for model in ("sasrec", "s4rec")
    )
    assert one == pytest.approx(3, rel=0.01)
    assert 3 < three < 9.1


@pytest.mark.slow
def test_a_whole_training_is_timed(arrays, surroundings):
    done = run(
        surroundings,
        *("--to_best", "--config", "sasrec_beauty", "--arrays", arrays),
        *settings("dim=8", "num_layers=1", "max_length=6", "dropout=0"),
        *settings("epochs=3", "learning_rate=0.05"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert "sasrec" not in report
    entry = report["to_best"]["sasrec_beauty"]
    assert 0 < entry["best_value"] <= 1
    assert 1 <= entry["best_epoch"] <= entry["epochs"] == 3
    assert 0 < entry["compile_seconds_to_best"] < entry["seconds_to_best"]
    assert entry["compile_seconds_to_best"] <= entry["compile_seconds"]
    in_order = ("seconds_to_best", "training_seconds", "total_seconds")
    times = [entry[name] for name in (*in_order, "command_seconds")]
    assert times == sorted(times)
    # Ranking both splits comes after training, and compiles.
    assert entry["total_seconds"] > entry["training_seconds"]


def test_a_wrong_setting_is_said_in_a_line(surroundings):
    done = run(surroundings, "--only", "sasrec", "--peer", "none", "--set", "dim=0")
    assert done.returncode == 1
    assert "`dim` must be at least 1. Received: 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--to_best"], "Received: --config None, --arrays None"),
        (["--config", "sasrec_beauty"], "--config is for it alone"),
        (["--arrays", "nowhere.npz"], "must be a file. Received: nowhere.npz"),
        (["--steps", "0"], "Received: 8.0, 0"),
    ],
)
def test_a_wrong_command_line_is_refused(flags, said, surroundings):
    done = run(surroundings, *flags)
    assert done.returncode == 2
    assert said in done.stderr


def test_another_backend_is_refused(surroundings):
    done = run(surroundings, KERAS_BACKEND="tensorflow")
    assert done.returncode == 2
    assert "Received: 'tensorflow'" in done.stderr


class Talking:
    """A child process that needs no process; says so many pairs in 2 seconds."""

    def __init__(self, *pairs):
        self.pairs, self.asked = iter(pairs), []

    def ask(self, name, **arguments):
        self.asked.append((name, arguments))
        if name == "write_sequences":
            np.savez(arguments["path"], offsets=[0, 3, 4])
            return {"num_pairs": 2, "num_items": 5, "batch_size": 7}
        return {"pairs": next(self.pairs), "seconds": 2.0}


def test_a_comparison_is_of_medians_by_turns(tmp_path):
    python = write_executable(tmp_path / "python", TORCH)
    ours = Talking(10, 90, 20)
    bounds = turns.Bounds(seconds=8.0, max_steps=30)
    command = [str(python), "-m", "benchmarks.torch_worker", "--compile"]
    ratio, facts = bounds.compare(ours, command)
    # 20 pairs in 2 seconds over one in 4.
    assert ratio == 40
    assert facts["batch_size"] == 7
    asked = [arguments for name, arguments in ours.asked if name == "measure"]
    assert [each["warm_up"] for each in asked] == [5.0, 1.0, 1.0]
    assert all((each["seconds"], each["max_steps"]) == (8.0, 30) for each in asked)


def test_the_best_peer_that_is_there_is_chosen(tmp_path):
    def python(prints):
        script = f"#!/bin/sh\necho {prints}\n"
        return str(write_executable(tmp_path / "python", script))

    assert peers.choose_peer("auto", python("recbole torch")) == "recbole"
    assert peers.choose_peer("torch", python("recbole torch")) == "torch"
    assert peers.choose_peer("auto", python("torch")) == "torch"
    assert peers.choose_peer("auto", python("")) is None
    with pytest.raises(PeerError, match=r"must have recbole. Received: torch"):
        peers.choose_peer("recbole", python("torch"))
    with pytest.raises(PeerError, match="nowhere cannot be run"):
        peers.choose_peer("auto", str(tmp_path / "nowhere"))
    # The question itself, to a Python that has neither.
    with pytest.raises(PeerError, match=r"must have recbole. Received: neither"):
        peers.choose_peer("recbole", sys.executable)


class Clock:
    """Time that passes only in training: 1/8 s a step, 2 s more for the first."""

    def __init__(self):
        self.now, self.runs = 0.0, []

    def run(self, num_steps):
        self.now += num_steps / 8 + (0 if self.runs else 2)
        self.runs.append(num_steps)


@pytest.mark.parametrize(("longest", "size"), [(128, 4), (3, 3)])
def test_steps_are_timed_many_at_once(monkeypatch, longest, size):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    measured = stopwatch.time_runs(clock.run, 1.0, 4.0, 1000, longest)
    # One step compiles, one tells how many fit into half a second.
    assert clock.runs[:2] == [1, 1]
    assert set(clock.runs[2:]) == {size}
    assert 4.0 <= measured["seconds"] < 4.0 + size / 8
    assert measured["seconds"] == measured["steps"] / 8
    assert measured["median_step_ms"] == 125


def test_no_more_steps_are_timed_than_asked_for(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    assert stopwatch.time_runs(clock.run, 0.0, 50.0, 4, 128)["steps"] == 4
    assert stopwatch.time_runs(clock.run, 0.0, 50.0, 13, 128)["steps"] == 12


def test_time_inside_time_counts_once():
    # 1 to 4 with 2 to 3 inside, 3.5 to 6 from 4 on, 7 to 8.
    intervals = [(2.0, 3.0), (1.0, 4.0), (7.0, 8.0), (3.5, 6.0)]
    assert stopwatch.covered_seconds(intervals) == 6
    assert stopwatch.covered_seconds(intervals, until=5.0) == 4
    assert stopwatch.covered_seconds(intervals, until=0.5) == 0
    assert stopwatch.covered_seconds([]) == 0
