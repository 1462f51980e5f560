"""Runs that are killed or stopped within an epoch end as if they had not been."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data.streamed import StreamedSamples
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.models.sasrec import SASRec
from s4rec_tf.runs import checkpoints, config
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train import __main__ as command
from s4rec_tf.train import keeping, stop_requests, validation
from s4rec_tf.train.tensorflow import trainer
from tests import forked
from tests.s4rec_tf.train import lives as living
from tests.s4rec_tf.train.lives import KEEPING, Lives, assert_same_run

ROOT = Path(__file__).parents[3]
NUM_ITEMS = 20
TINY = ["epochs=2", "dim=8", "max_length=6", "num_layers=1", "seed=5", "batch_size=16"]
"""Of 9 steps an epoch."""
MODELS = {
    "sasrec": ["sasrec", *TINY],
    "s4rec": ["s4rec", *TINY, "num_intents=4"],
    "streamed": ["sasrec", *TINY, "data=streaming"],
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "dataset"
    sequences = small_datasets.markov_sequences(40, NUM_ITEMS, seed=3)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS, 3))


def whole_run(model, dataset, folder):
    lives = Lives(MODELS[model][0], dataset, MODELS[model][1:])
    return lives, folder / model, lives.live(folder / model)


@pytest.fixture(scope="module")
def sasrec(dataset, tmp_path_factory):
    return whole_run("sasrec", dataset, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def s4rec(dataset, tmp_path_factory):
    return whole_run("s4rec", dataset, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def streamed(dataset, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamedSamples, "buffered_actions", 50)
        yield whole_run("streamed", dataset, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("model", MODELS)
def test_killed_run_ends_as_if_it_had_not_been(model, request, tmp_path):
    lives, whole, most = request.getfixturevalue(model)
    assert living.random_moments(lives, tmp_path / "run", most, seed=1, kills=6) > 3
    assert_same_run(tmp_path / "run", whole)


def state_of(path):
    return checkpoints.read_state(path)


def test_only_the_steps_since_the_last_state_are_lost(sasrec, tmp_path, capsys):
    lives, whole, _ = sasrec
    lives.live(tmp_path, step=6, kept=keeping.Keeping(minutes=0))
    assert not RunDir(tmp_path).last.exists()
    lives.live(tmp_path, step=6)
    state = state_of(RunDir(tmp_path).last)
    assert state["epochs_done"] == 0 and state["within_epoch"]["step"] == 3
    lives.live(tmp_path)
    assert "after epoch 0, step 3 of the next" in capsys.readouterr().out
    assert_same_run(tmp_path, whole)


def test_torn_newest_state_falls_back_to_the_one_before(sasrec, tmp_path, capsys):
    lives, whole, _ = sasrec
    run = RunDir(tmp_path)
    lives.live(tmp_path, step=8)
    steps = [state_of(p)["within_epoch"]["step"] for p in (run.before_last, run.last)]
    assert steps == [3, 6]
    run.last.write_bytes(run.last.read_bytes()[:-100])
    lives.live(tmp_path, step=1)
    captured = capsys.readouterr()
    assert f"warning: {run.last} is damaged" in captured.err
    assert "step 3 of the next" in captured.out
    assert run.before_last.exists() and not run.last.exists()
    lives.live(tmp_path)
    assert_same_run(tmp_path, whole)


def test_two_torn_states_are_refused(sasrec, tmp_path):
    lives, run = sasrec[0], RunDir(tmp_path)
    lives.live(tmp_path, step=8)
    for path in (run.last, run.before_last):
        path.write_bytes(b"torn")
    with pytest.raises(
        checkpoints.CheckpointError, match=r"before_last\.npz is damaged"
    ):
        lives.live(tmp_path)


def test_changed_value_is_found_by_the_digest(tmp_path):
    path = tmp_path / "last.npz"
    values = np.arange(3.0)
    checkpoints.write_checkpoint(path, [values], {"epochs_done": 1})
    stored = living.arrays(path)
    stored["variable_00000"][1] = 7
    np.savez(path, **stored)
    with pytest.raises(checkpoints.DamagedCheckpoint, match="its sha256 must be"):
        checkpoints.read_checkpoint(path, [np.zeros(3)])


def test_state_is_written_by_the_clock(sasrec, tmp_path):
    lives, whole, _ = sasrec
    now = iter(range(10_000))
    kept = keeping.Keeping(minutes=4 / 60, clock=lambda: next(now))
    lives.live(tmp_path, step=9, kept=kept)
    # Every look at the clock takes a second: one a step, a few at a beginning.
    steps = [
        state_of(path)["within_epoch"]["step"]
        for path in (RunDir(tmp_path).before_last, RunDir(tmp_path).last)
    ]
    assert 0 < steps[0] < steps[1] <= 8
    lives.live(tmp_path)
    assert_same_run(tmp_path, whole)


def test_run_of_an_earlier_version_goes_on(sasrec, tmp_path):
    """Its only state is that of a whole epoch, without a digest."""
    lives, whole, _ = sasrec
    lives.live(tmp_path, step=11)
    run = RunDir(tmp_path)
    stored = living.arrays(run.last)
    assert stored.pop("sha256")
    progress = json.loads(str(stored["state"]))
    assert progress.keys() == {"epochs_done", "best_value", "best_epoch"}
    run.before_last.unlink()
    np.savez(run.last, **stored)
    lives.live(tmp_path)
    assert_same_run(tmp_path, whole)


# Where a signal comes, and the step of the epoch whose state it must leave.
def in_step(patch, number):
    step, calls = living.KeptTrainer.step, []

    def signalled(self):
        calls.append(1)
        if len(calls) == number:
            signal.raise_signal(signal.SIGTERM)
        return step(self)

    patch.setattr(living.KeptTrainer, "step", signalled)


def in_validation(patch):
    def signalled(self):
        signal.raise_signal(signal.SIGINT)

    patch.setattr(validation.EpochEnd, "validate", signalled)


def in_refresh(patch):
    patch.setattr(SASRec, "begin_epoch", lambda *_: signal.raise_signal(signal.SIGTERM))


def in_write(patch):
    write = checkpoints.write_checkpoint

    def signalled(*arguments):
        signal.raise_signal(signal.SIGTERM)
        write(*arguments)
        signal.raise_signal(signal.SIGTERM)

    patch.setattr(checkpoints, "write_checkpoint", signalled)


@pytest.mark.parametrize(
    ("where", "step"),
    [
        (in_refresh, None),
        (lambda patch: in_step(patch, 1), None),
        (lambda patch: in_step(patch, 5), 5),
        (in_write, 3),
        (in_validation, 9),
    ],
    ids=["refresh", "compile", "step", "write", "validation"],
)
def test_signal_leaves_the_state_of_the_last_step(where, step, sasrec, tmp_path):
    lives, whole, _ = sasrec
    with stop_requests.StopRequests() as stop, pytest.MonkeyPatch.context() as patch:
        where(patch)
        kept = keeping.Keeping(KEEPING.minutes, KEEPING.steps, stop)
        with pytest.raises(stop_requests.Stopped):
            lives.live(tmp_path, kept=kept)
    run = RunDir(tmp_path)
    assert run.last.exists() == (step is not None)
    assert step is None or state_of(run.last)["within_epoch"]["step"] == step
    lives.live(tmp_path)
    assert_same_run(tmp_path, whole)


def test_signal_has_an_exit_code_of_its_own(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        trainer.TensorFlowTrainer,
        "begin",
        lambda *_: signal.raise_signal(signal.SIGTERM),
    )
    before = signal.getsignal(signal.SIGTERM)
    flags = [f"--dataset={dataset.root}", f"--run_dir={tmp_path}", "--model=sasrec"]
    assert command.main([*flags, "--set", *TINY]) == ExitCode.STATE_SAVED == 4
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"train: {stop_requests.FAREWELL}"
    assert signal.getsignal(signal.SIGTERM) is before
    assert not RunDir(tmp_path).is_finished()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--checkpoint_minutes=-1", "--checkpoint_minutes must not be negative"),
        ("--checkpoint_minutes=nan", "--checkpoint_minutes must not be negative"),
        ("--checkpoint_steps=-2", "--checkpoint_steps must not be negative"),
        ("--run_dir=ftp://host/run", "must be a folder, or begin with gs:// or s3://"),
    ],
)
def test_flags_that_cannot_be(flag, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["--dataset=data", "--run_dir=run", "--model=sasrec", flag])
    assert stopped.value.code == ExitCode.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "runs"), [("sasrec", 15), ("s4rec", 10), ("streamed", 5)]
)
def test_180_random_kills_in_one_process(model, runs, request, tmp_path):
    lives, whole, most = request.getfixturevalue(model)
    killed, number = 0, 0
    while killed < 6 * runs:
        run_dir, number = tmp_path / str(number), number + 1
        left = min(6 * runs - killed, 6)
        killed += living.random_moments(lives, run_dir, most, 100 + number, left)
        assert_same_run(run_dir, whole)
    print(f"{model}: killed {killed} times in {number} runs")


KILLS_AND_STOPS = [signal.SIGKILL] * 20 + [signal.SIGTERM] * 10
LONG = [*TINY[1:-1], "epochs=6", "batch_size=4"]


def changed(path, before):
    return path.exists() and path.stat().st_mtime_ns != before


def killed_command(dataset, run_dir, delay, number, trains_first):
    """Starts a command, and ends it by a signal after a while; its code, seconds.

    Args:
        delay: seconds, None for no signal.
        number: of the signal.
        trains_first: whether the delay begins when this life has written a state,
            rather than when it has said what it trains.
    """
    flags = [f"--dataset={dataset.root}", f"--run_dir={run_dir}", "--model=sasrec"]
    flags += ["--checkpoint_steps=2", "--set", *LONG]
    last = RunDir(run_dir).last
    before = last.stat().st_mtime_ns if last.exists() else 0
    process = forked.Command("s4rec_tf.train", *flags)
    process.stdout.readline()
    while trains_first and process.poll() is None and not changed(last, before):
        time.sleep(0.005)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(delay)
    process.send_signal(number)
    asked = time.monotonic()
    code = process.wait(120)
    process.stdout.close()
    return code, time.monotonic() - asked


def place_of(run_dir):
    path = RunDir(run_dir).last
    if not path.exists():
        return (0, 0)
    state = state_of(path)
    return state["epochs_done"], state.get("within_epoch", {}).get("step", 0)


@pytest.mark.slow
def test_20_kills_and_10_stops_of_the_command(dataset, tmp_path):
    whole = tmp_path / "whole"
    trainer.train(config.resolve("sasrec", None, LONG), dataset, whole)
    lines = RunDir(whole).metrics.read_text().splitlines()
    seconds = sum(json.loads(line)["train_seconds"] for line in lines[1:])
    left, runs, places, draw = KILLS_AND_STOPS.copy(), 0, set(), random.Random(8)
    draw.shuffle(left)
    while left:
        run_dir, runs, code = tmp_path / str(runs), runs + 1, None
        while code != 0:
            number, delay = (left[-1], draw.uniform(0, seconds)) if left else (0, None)
            trains_first = draw.random() < 0.7
            code, took = killed_command(dataset, run_dir, delay, number, trains_first)
            if code != 0:
                assert code == {signal.SIGKILL: -9, signal.SIGTERM: 4}[left.pop()]
                assert took < 10
                places.add(place_of(run_dir))
        assert_same_run(run_dir, whole)
    print(f"30 signals in {runs} runs, at {len(places)} steps: {sorted(places)}")
    assert len(places) > 5


@pytest.mark.slow
def test_two_devices_go_on_within_an_epoch(dataset, tmp_path):
    module = "tests.s4rec_tf.train.tensorflow.replica_resumption"
    runs = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, "-m", module, dataset.root, *runs],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "2 replica(s)" in done.stdout
    assert "after epoch 0, step 4 of the next" in done.stdout
    assert_same_run(*runs)
