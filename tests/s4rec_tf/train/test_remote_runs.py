"""Runs in object stores that are killed or stopped end as if they had not been."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.runs import checkpoints, config, store, working_copy
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.runs.store import Store, StoreError
from s4rec_tf.train import keeping, stop_requests
from s4rec_tf.train.tensorflow import trainer
from tests import forked, object_stores
from tests.s4rec_tf.train import lives as living
from tests.s4rec_tf.train.lives import KEEPING, Lives, assert_same_run, uploads

TINY = ["epochs=2", "dim=8", "max_length=6", "num_layers=1", "seed=5", "batch_size=16"]
"""Of 9 steps an epoch."""
URL = "s3://shop/run"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "dataset"
    sequences = small_datasets.markov_sequences(40, 20, seed=3)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, 20, 3))


@pytest.fixture(scope="module")
def local(dataset, tmp_path_factory):
    """Lives of a model, and its uninterrupted run on this machine."""
    lives, run = Lives("sasrec", dataset, TINY), tmp_path_factory.mktemp("run")
    lives.live(run)
    return lives, run


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The folder that is the store; copies lie beside it."""
    (tmp_path / "machine").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "machine"))
    with object_stores.folder_as_store(tmp_path / "store"):
        yield tmp_path / "store" / "shop"


class Gone(Exception):
    """The end of a process, which leaves its copy as it is."""


def live(lives, moment=None, is_elsewhere=False, of=uploads, url=URL):
    """A life in a store, maybe on a machine that knows nothing of an earlier one.

    Returns:
        the moments passed, and whether it was killed.
    """
    with contextlib.suppress(Gone), working_copy.opened_to_train(url) as root:
        passed = lives.live(root, moment, of=of)
        is_killed = passed == moment
        if is_killed:
            if is_elsewhere:
                (root / ".store.json").unlink()
            raise Gone
    return passed, is_killed


def test_killed_at_uploads_it_ends_as_if_it_had_not_been(local, bucket):
    lives, whole = local
    moment, is_killed = 0, True
    while is_killed:
        moment += 1
        _, is_killed = live(lives, moment, is_elsewhere=moment % 2 == 0)
    assert moment > 6
    assert_same_run(bucket / "run", whole)
    assert json.loads((bucket / "run" / "MANIFEST.json").read_text())["finished"]


@pytest.mark.slow
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_kill_at_every_upload(is_elsewhere, local, bucket):
    lives, whole = local
    most, is_killed = live(lives, url="s3://shop/whole")
    assert most > 30 and not is_killed
    for moment in range(1, most + 1):
        url = f"s3://shop/{moment}"
        assert live(lives, moment, is_elsewhere, url=url)[1]
        assert not live(lives, url=url)[1]
        assert_same_run(bucket / str(moment), whole)


@pytest.mark.slow
def test_random_kills_between_uploads_too(local, bucket):
    lives, whole = local
    draw, killed = random.Random(4), 0

    @contextlib.contextmanager
    def anywhere(fuse):
        with living.moments(fuse), uploads(fuse):
            yield

    for number in range(20):
        url, is_killed = f"s3://shop/{number}", True
        while is_killed:
            moment = draw.randint(1, 60)
            _, is_killed = live(lives, moment, draw.random() < 0.5, anywhere, url)
            killed += is_killed
        assert_same_run(bucket / str(number), whole)
    print(f"killed {killed} times in 20 runs")
    assert killed > 40


def test_signal_leaves_the_state_in_the_store(local, bucket):
    lives, whole = local
    with stop_requests.StopRequests() as stop, pytest.MonkeyPatch.context() as patch:
        step, calls = living.KeptTrainer.step, []

        def signalled(self):
            calls.append(1)
            if len(calls) == 5:
                signal.raise_signal(signal.SIGTERM)
            return step(self)

        patch.setattr(living.KeptTrainer, "step", signalled)
        kept = keeping.Keeping(KEEPING.minutes, KEEPING.steps, stop)
        with pytest.raises(stop_requests.Stopped):
            with working_copy.opened_to_train(URL) as root:
                lives.live(root, kept=kept)
    state = checkpoints.read_state(RunDir(bucket / "run").last)
    assert state["within_epoch"]["step"] == 5
    live(lives)
    assert_same_run(bucket / "run", whole)


def test_store_that_stays_away_ends_the_training_and_loses_nothing(local, bucket):
    lives, whole = local
    put, calls = Store.put, []

    def away(self, file, name):
        calls.append(name)
        if len(calls) > 5:
            raise StoreError("s3://shop: no answer")
        put(self, file, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "put", away)
        with pytest.raises(StoreError, match="All of the run is in") as raised:
            with working_copy.opened_to_train(URL) as root:
                lives.live(root)
    assert str(root) in str(raised.value)
    here = checkpoints.read_state(RunDir(root).last)
    there = checkpoints.read_state(RunDir(bucket / "run").last)
    assert here != there
    # The last step that was trained is not trained again.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "fetch", lambda *_: pytest.fail("nothing to be fetched"))
        live(lives)
    assert_same_run(bucket / "run", whole)


def test_torn_state_in_the_store_falls_back_to_the_one_before(local, bucket, capsys):
    lives, whole = local
    live(lives, moment=19, is_elsewhere=True)
    last = RunDir(bucket / "run").last
    last.write_bytes(last.read_bytes()[:-100])
    live(lives)
    assert "is damaged" in capsys.readouterr().err
    assert_same_run(bucket / "run", whole)


@pytest.fixture(scope="module", params=["s3", "gs"])
def server(request):
    with object_stores.SERVERS[request.param]("shop") as variables:
        yield f"{request.param}://shop", variables


LONG = [*TINY[1:-1], "epochs=6", "batch_size=4"]
SIGNALS = [signal.SIGKILL] * 8 + [signal.SIGTERM] * 4
LAST = "checkpoints/last.npz"


def ended(dataset, url, variables, number, delay, trains_first):
    """Starts a command and ends it by a signal after a while; its exit code.

    Args:
        delay: seconds.
        number: of the signal.
        trains_first: whether the delay begins when this life has written a state.
    """
    flags = [f"--dataset={dataset.root}", f"--run_dir={url}", "--model=sasrec"]
    flags += ["--checkpoint_steps=2", "--set", *LONG]
    before = Store(url).etag(LAST)
    process = forked.Command("s4rec_tf.train", *flags, env=variables)
    process.stdout.readline()
    while trains_first and process.poll() is None and Store(url).etag(LAST) == before:
        time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(delay)
    process.send_signal(number)
    asked = time.monotonic()
    code = process.wait(120)
    process.stdout.close()
    return code, time.monotonic() - asked


def forget_copy(url):
    """Does what another machine is: without a copy of the run."""
    copies = Path(tempfile.gettempdir()) / f"s4rec_tf_{os.getuid()}"
    for folder in copies.glob(f"{url.rpartition('/')[2]}_*"):
        if folder.is_dir():
            shutil.rmtree(folder)


@pytest.mark.slow
def test_killed_at_uploads_to_a_server(server, local, tmp_path, monkeypatch):
    (lives, whole), (base, variables) = local, server
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store._client.cache_clear()
    moment, is_killed = 0, True
    while is_killed:
        moment += 1
        _, is_killed = live(lives, moment, moment % 2 == 0, url=f"{base}/run")
    with working_copy.opened(f"{base}/run", with_states=True) as root:
        assert_same_run(root, whole)
    store._client.cache_clear()
    assert moment > 6


@pytest.mark.slow
def test_kills_and_stops_of_the_command(server, dataset, tmp_path, monkeypatch):
    base, variables = server
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store._client.cache_clear()
    whole = tmp_path / "whole"
    trainer.train(config.resolve("sasrec", None, LONG), dataset, whole)
    lines = RunDir(whole).metrics.read_text().splitlines()
    seconds = sum(json.loads(line)["train_seconds"] for line in lines[1:])
    draw, left, runs, places = random.Random(8), SIGNALS.copy(), 0, set()
    draw.shuffle(left)
    while left:
        url, runs, code = f"{base}/{tmp_path.name}_{runs}", runs + 1, None
        while code != 0:
            number, delay = (left[-1], draw.uniform(0, seconds)) if left else (0, None)
            trains_first = bool(left) and draw.random() < 0.8
            code, took = ended(dataset, url, variables, number, delay, trains_first)
            if code != 0:
                assert code == {signal.SIGKILL: -9, signal.SIGTERM: 4}[left.pop()]
                # Not 10: this process, which is the store too, may wait for a core.
                assert took < 60
                with working_copy.opened(url, with_states=True) as root:
                    places.add(place_of(root))
                if draw.random() < 0.5:
                    forget_copy(url)
        with working_copy.opened(url, with_states=True) as root:
            assert_same_run(root, whole)
    print(f"{len(SIGNALS)} signals in {runs} runs, at {sorted(places)}")
    assert len(places) > 3
    evaluate_and_export(dataset, url, variables, whole, tmp_path)
    store._client.cache_clear()


def place_of(root):
    path = RunDir(root).last
    if not path.exists():
        return (0, 0)
    state = checkpoints.read_state(path)
    return state["epochs_done"], state.get("within_epoch", {}).get("step", 0)


def evaluate_and_export(dataset, url, variables, whole, folder):
    """The commands that read a run give the same for the run in the store."""
    metrics = []
    for run_dir in (url, whole):
        flags = [f"--dataset={dataset.root}", f"--run_dir={run_dir}", "--json"]
        done = forked.run("s4rec_tf.evaluate", *flags, env=variables)
        assert done.returncode == 0, done.stderr
        metrics.append(done.stdout)
    assert metrics[0] == metrics[1]
    assert "evaluation/test.json" in Store(url).names()
    flags = [f"--dataset={dataset.root}", f"--run_dir={url}"]
    flags += [f"--export_dir={folder / 'export'}", "--refit"]
    done = forked.run("s4rec_tf.export", *flags, env=variables)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[-1]).is_dir()
    assert "checkpoints/refit.npz" in Store(url).names()
