"""Two and three worker processes on this machine share the global batch."""

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
from s4rec_tf.runs import checkpoints, store, working_copy
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.runs.store import Store
from tests import object_stores
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
    flags += ["--set", "epochs=2", "dim=16", "dropout=0", "batch_size=48"]
    return codes_of(started(dataset, run_dir, ports, *flags))


def losses(run_dir):
    lines = RunDir(run_dir).metrics.read_text().splitlines()
    return [json.loads(line)["next_item"] for line in lines]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A dataset, and the losses of one worker on it."""
    folder = tmp_path_factory.mktemp("alone")
    sequences = small_datasets.markov_sequences(200, 30, seed=6)
    root = small_datasets.write_dataset(folder / "dataset", sequences, 30)
    dataset = spec.DatasetDir(root)
    assert train(dataset, folder / "run", free_ports(1)) == [0]
    return dataset, losses(folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
def test_workers_train_what_one_does(number, alone, tmp_path):
    dataset, of_one = alone
    run = tmp_path / "run"
    assert train(dataset, run, free_ports(number)) == [0] * number
    assert losses(run) == pytest.approx(of_one, 1e-3)
    # Workers of a finished run do not wait for each other.
    assert train(dataset, run, free_ports(number)) == [0] * number


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
SHORT += ["batch_size=48"]


@pytest.fixture(scope="module", params=[2, 3])
def whole(request, tmp_path_factory):
    """A number of workers, a dataset, and their uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    sequences = small_datasets.markov_sequences(600, 30, seed=6)
    root = small_datasets.write_dataset(folder / "dataset", sequences, 30)
    dataset, run = spec.DatasetDir(root), RunDir(folder / "run")
    processes = started(dataset, run.root, free_ports(request.param), *SHORT)
    assert codes_of(processes) == [0] * request.param
    return request.param, dataset, run


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_second_worker_is_ended_within_an_epoch_and_all_go_on(number, whole, tmp_path):
    workers, dataset, uninterrupted = whole
    run = RunDir(tmp_path)
    processes = started(dataset, tmp_path, free_ports(workers), *SHORT)
    while not run.last.exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    processes[1].send_signal(number)
    codes = codes_of(processes)
    if number == signal.SIGTERM:
        assert codes == [ExitCode.STATE_SAVED] * workers
    else:
        assert codes.pop(1) == -signal.SIGKILL and 0 not in codes
    assert checkpoints.read_state(run.last)["within_epoch"]["step"] > 0
    again = started(dataset, tmp_path, free_ports(workers), *SHORT)
    assert codes_of(again) == [0] * workers
    assert_same_weights(run, uninterrupted)


def assert_same_weights(run, uninterrupted):
    ours, theirs = arrays(run.last), arrays(uninterrupted.last)
    for name in theirs.keys() - {"state", "sha256"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [2], indirect=True)
def test_workers_share_a_run_in_a_store(whole, tmp_path, monkeypatch):
    _, dataset, uninterrupted = whole
    url = "s3://shop/run"
    with object_stores.s3_server("shop") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        processes = started(dataset, url, free_ports(2), *SHORT)
        while "checkpoints/last.npz" not in Store(url).names():
            assert all(process.poll() is None for process in processes)
            time.sleep(0.05)
        processes[0].kill()
        assert 0 not in codes_of(processes)
        assert codes_of(started(dataset, url, free_ports(2), *SHORT)) == [0, 0]
        with working_copy.opened(url, with_states=True) as root:
            assert_same_weights(RunDir(root), uninterrupted)
    store._client.cache_clear()
