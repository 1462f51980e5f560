"""Two worker processes on this machine share the global batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.runs.run_dir import RunDir

ROOT = Path(__file__).parents[4]


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [entry.getsockname()[1] for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports


def train(dataset, run_dir, ports, data="memory"):
    workers = [f"127.0.0.1:{port}" for port in ports]
    processes = []
    for index in range(len(ports)):
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": workers}, "task": task})
        flags = [f"--dataset={dataset.root}", f"--run_dir={run_dir}", "--model=s4rec"]
        flags += [
            "--strategy=multiworker",
            f"--data={data}",
            "--set",
            "epochs=2",
            "dim=16",
            "dropout=0",
        ]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "s4rec_tf.train", *flags],
                env={**os.environ, "TF_CONFIG": cluster, "PYTHONPATH": str(ROOT)},
            )
        )
    return [process.wait(timeout=300) for process in processes]


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
