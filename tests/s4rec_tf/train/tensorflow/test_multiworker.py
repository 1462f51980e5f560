"""Two worker processes on this machine share the global batch."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.run_dir import RunDir
from tests.s4rec_tf.small_runs import arrays

ROOT = Path(__file__).parents[4]


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [entry.getsockname()[1] for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports


def started(dataset, run_dir, ports, *flags):
    workers = [f"127.0.0.1:{port}" for port in ports]
    processes = []
    for index in range(len(ports)):
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": workers}, "task": task})
        own = [f"--dataset={dataset.root}", f"--run_dir={run_dir}", *flags]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "s4rec_tf.train", *own],
                env={**os.environ, "TF_CONFIG": cluster, "PYTHONPATH": str(ROOT)},
            )
        )
    return processes


def codes_of(processes):
    try:
        return [process.wait(timeout=900) for process in processes]
    finally:
        for process in processes:
            process.kill()


def train(dataset, run_dir, ports, data="memory"):
    flags = ["--model=s4rec", "--strategy=multiworker", f"--data={data}"]
    flags += ["--set", "epochs=2", "dim=16", "dropout=0"]
    return codes_of(started(dataset, run_dir, ports, *flags))


def losses(run_dir):
    lines = RunDir(run_dir).metrics.read_text().splitlines()
    return [json.loads(line)["next_item"] for line in lines]


@pytest.mark.slow
def test_two_workers_train_what_one_does(tmp_path):
    sequences = small_datasets.markov_sequences(200, 30, seed=6)
    root = small_datasets.write_dataset(tmp_path / "dataset", sequences, 30)
    dataset = spec.DatasetDir(root)
    assert train(dataset, tmp_path / "two", free_ports(2)) == [0, 0]
    assert train(dataset, tmp_path / "one", free_ports(1)) == [0]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), 1e-3)
    # Workers of a finished run do not wait for each other.
    assert train(dataset, tmp_path / "two", free_ports(2)) == [0, 0]


@pytest.mark.slow
def test_two_workers_stream_their_own_samples(tmp_path):
    sequences = small_datasets.markov_sequences(200, 30, seed=6)
    root = small_datasets.write_dataset(tmp_path / "dataset", sequences, 30, 3)
    run = tmp_path / "run"
    codes = train(spec.DatasetDir(root), run, free_ports(2), data="streaming")
    assert codes == [0, 0]
    first, second = losses(run)
    assert second < first


SHORT = ["--model=sasrec", "--strategy=multiworker", "--checkpoint_steps=10"]
SHORT += ["--set", "epochs=2", "dim=8", "num_layers=1", "max_length=6"]
SHORT += ["batch_size=32"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    sequences = small_datasets.markov_sequences(400, 30, seed=6)
    root = small_datasets.write_dataset(folder / "dataset", sequences, 30)
    dataset, run = spec.DatasetDir(root), RunDir(folder / "run")
    assert codes_of(started(dataset, run.root, free_ports(2), *SHORT)) == [0, 0]
    return dataset, run


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_second_worker_is_ended_within_an_epoch_and_all_go_on(number, whole, tmp_path):
    dataset, uninterrupted = whole
    run = RunDir(tmp_path)
    processes = started(dataset, tmp_path, free_ports(2), *SHORT)
    while not run.last.exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    processes[1].send_signal(number)
    codes = codes_of(processes)
    if number == signal.SIGTERM:
        assert codes == [ExitCode.STATE_SAVED] * 2
    else:
        assert codes[1] == -signal.SIGKILL and codes[0] != 0
    assert checkpoints.read_state(run.last)["within_epoch"]["step"] > 0
    assert codes_of(started(dataset, tmp_path, free_ports(2), *SHORT)) == [0, 0]
    ours, theirs = arrays(run.last), arrays(uninterrupted.last)
    for name in theirs.keys() - {"state", "sha256"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
