"""The runner with a stand-in for training: what it starts, skips, keeps and ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.experiments import ledger
from pipelines.experiments.queue_files import Run
from pipelines.experiments.runner import Margins, Runner
from pipelines.experiments.training_backends import (
    JaxBackend,
    TensorFlowBackend,
    choose_backend,
)

ROOT = Path(__file__).parents[2]
FAKE = (sys.executable, str(Path(__file__).with_name("fake_training.py")))
QUICK = Margins(first_epoch=0, start_up=0, epoch_factor=0, ranking=0, poll=0.02)
TRAINING, RANKING = "s4rec_tf.train", "s4rec_tf.evaluate"


def a_run(seed=1, **more):
    values = {
        "dataset": "beauty",
        "model": "s4rec",
        "config": "s4rec_beauty",
        "config_text": "alpha: 0.2\n",
        "settings": {"alpha": 0.1},
        "variant": "main",
        "seed": seed,
        "resolved": {"model": "s4rec", "alpha": 0.1, "dim": 64, "seed": seed},
    }
    return Run(**(values | more))


@pytest.fixture
def runner(tmp_path):
    for name in ("beauty", "toys"):
        (tmp_path / "data" / name).mkdir(parents=True)
        manifest = {"format_version": 1, "files": {"train/a": {"sha256": name}}}
        (tmp_path / "data" / name / "MANIFEST.json").write_text(json.dumps(manifest))

    def make(**more):
        places = [tmp_path / name for name in ("data", "work", "results/runs.jsonl")]
        values = {"command": FAKE, "margins": QUICK, **more}
        return Runner(values.pop("backend", TensorFlowBackend()), *places, **values)

    return make


def lines(runner):
    return ledger.read(runner.ledger)


def calls(runner):
    files = sorted(runner.work.glob("*/calls.jsonl"))
    return [json.loads(line) for f in files for line in f.read_text().splitlines()]


def test_a_finished_run_is_one_right_line(runner, capfd):
    made = runner()
    assert made.run_all([a_run()]) == {"done": 1}
    (line,) = lines(made)
    identity = {"dataset": "beauty", "model": "s4rec", "config": "s4rec_beauty"}
    identity |= {"settings": {"alpha": 0.1}, "variant": "main", "seed": 1}
    assert {name: line[name] for name in identity} == identity
    assert line["data_fingerprint"] == TensorFlowBackend().fingerprint(
        made.data / "beauty"
    )
    assert line["valid"] == {"HR@20": 0.25, "NDCG@20": 0.125, "head/HR@20": None}
    assert line["test"]["HR@20"] == 0.125
    assert line["analysis"] == {"probe_auc": 0.625}
    # Three epochs of 30 s each.
    assert (line["epochs"], line["minutes"]) == (3, 1.5)
    assert "cores" in line["machine"] and line["code_version"]
    shown = capfd.readouterr().err
    assert "[1/1] beauty s4rec s4rec_beauty main alpha=0.1 seed 1" in shown
    assert "epoch 3: validation NDCG@20 0.5000, 30 s" in shown


def test_the_commands_are_those_one_would_type(runner):
    made = runner()
    made.run_all([a_run()])
    train, *rankings, probe = calls(made)
    (run_dir,) = made.work.iterdir()
    place = ["--dataset", str(made.data / "beauty"), "--run_dir", str(run_dir)]
    # The copy: the configuration may be edited while the queue is worked through.
    copy = run_dir / "s4rec_beauty.yaml"
    assert copy.read_text() == "alpha: 0.2\n"
    flags = ["--model", "s4rec", "--config", str(copy), "--set"]
    assert train["module"] == TRAINING
    assert train["arguments"] == [*place, *flags, "alpha=0.1", "seed=1"]
    assert [call["module"] for call in rankings] == [RANKING] * 2
    assert [call["arguments"][len(place) :] for call in rankings] == [
        ["--split", "valid"],
        ["--split", "test", "--sampled"],
    ]
    assert (probe["module"], probe["arguments"]) == ("s4rec_tf.analyze", place)
    assert {call["keras"] for call in calls(made)} == {"tensorflow"}


def test_the_ranks_are_kept_beside_the_ledger(runner):
    made = runner()
    made.run_all([a_run()])
    file = ledger.ranks_file(made.ledger, lines(made)[0])
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    with np.load(file) as stored:
        assert stored["ranks"].tolist() == [1, 7, 300]
        assert stored["ranks"].dtype == np.uint16
        assert stored["map_places"].tolist() == [[0.5, 2.0]]
        assert stored["map_is_head"].tolist() == [True]
        assert stored["is_head"].tolist() == [True, False, False]
        assert json.loads(str(stored["config"]))["dim"] == 64


def test_what_the_ledger_has_is_not_run_again(runner, capfd):
    made = runner()
    made.run_all([a_run(1)])
    before = made.ledger.read_bytes()
    assert made.run_all([a_run(1), a_run(2)]) == {"skipped": 1, "done": 1}
    assert made.ledger.read_bytes().startswith(before)
    assert [line["seed"] for line in lines(made)] == [1, 2]
    assert "changed" not in capfd.readouterr().err
    # Also with no run folder left, and with a configuration that has changed since.
    changed = a_run(1, resolved={"model": "s4rec", "dim": 128, "new": 3})
    assert made.run_all([changed]) == {"skipped": 1}
    assert "changed since: dim 64 there, 128 now" in capfd.readouterr().err


def test_runs_that_differ_have_run_folders_of_their_own(runner):
    made = runner()
    runs = [a_run(1), a_run(2), a_run(1, dataset="toys"), a_run(1, variant="other")]
    assert made.run_all(runs) == {"done": 4}
    assert len(list(made.work.iterdir())) == 4
    assert len(list((made.ledger.parent / "ranks").iterdir())) == 4


def test_a_run_that_fails_is_told_and_the_next_is_run(runner, capfd, monkeypatch):
    made = runner()
    monkeypatch.setenv("FAKE_FAILS", RANKING)
    assert made.run_all([a_run(1)]) == {"failed": 1}
    assert lines(made) == []
    shown = capfd.readouterr().err
    assert "ranking valid failed with exit code 7: MemoryError: 3 GiB (" in shown
    monkeypatch.delenv("FAKE_FAILS")
    assert made.run_all([a_run(1)]) == {"done": 1}
    # The training that had come to its end was not started again.
    steps = [TRAINING, *[RANKING] * 3, "s4rec_tf.analyze"]
    assert [call["module"] for call in calls(made)] == steps


def test_a_run_that_leaves_no_evaluation_is_no_finished_run(runner, capfd, monkeypatch):
    made = runner()
    monkeypatch.setenv("FAKE_LEAVES_NOTHING", "1")
    assert made.run_all([a_run(1)]) == {"failed": 1}
    assert "the run left no" in capfd.readouterr().err and lines(made) == []


def test_a_dataset_that_is_not_there_is_named_before_anything_starts(runner):
    made = runner()
    with pytest.raises(ValueError, match=r"dataset folder .*sports does not exist"):
        made.run_all([a_run(), a_run(dataset="sports")])
    assert not made.work.exists()


KILLED = """
import sys; from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_experiment_runner as here
data, work, results = map(Path, sys.argv[2:])
here.Runner(here.TensorFlowBackend(), data, work, results, command=here.FAKE,
            margins=here.QUICK).run_all([here.a_run(1), here.a_run(2)])
"""


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle_it_goes_on_and_adds_one_line(runner, signal_number):
    made = runner()
    places = [str(Path(__file__).parent), made.data, made.work, made.ledger]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, places)],
        cwd=ROOT,
        env=os.environ | {"FAKE_EPOCH_SECONDS": "0.6"},
    )
    wait_for(lambda: list(made.work.glob("*seed1*/metrics.jsonl")))
    process.send_signal(signal_number)
    process.wait(10)
    (call,) = calls(made)
    wait_for(lambda: not is_alive(call["pid"]))
    assert lines(made) == []
    (log,) = made.work.glob("*seed1*/metrics.jsonl")
    assert 1 <= len(log.read_text().splitlines()) < 3
    assert made.run_all([a_run(1), a_run(2)]) == {"done": 2}
    assert [line["seed"] for line in lines(made)] == [1, 2]
    assert {(line["epochs"], line["minutes"]) for line in lines(made)} == {(3, 1.5)}


def test_the_time_given_is_kept_and_training_resumes(runner, capfd, monkeypatch):
    monkeypatch.setenv("FAKE_EPOCH_SECONDS", "20")
    started = time.monotonic()
    made = runner(deadline=started + 3)
    assert made.run_all([a_run(1), a_run(2)]) == {"out of time": 2}
    # A run not stopped would take a minute.
    assert time.monotonic() - started < 20
    assert lines(made) == []
    assert "training is stopped: the time is up" in capfd.readouterr().err
    (call,) = calls(made)
    assert not is_alive(call["pid"])
    monkeypatch.setenv("FAKE_EPOCH_SECONDS", "0")
    assert runner().run_all([a_run(1)]) == {"done": 1}
    assert lines(made)[0]["epochs"] == 3


def test_nothing_is_started_that_gets_nowhere(runner, capfd):
    # A like run's epochs lasted 30 s: 1 + 2 * 30 s are needed for one of a new run.
    margins = Margins(first_epoch=5, start_up=1, epoch_factor=2, ranking=3, poll=0.02)
    runner().run_all([a_run(1)])
    made = runner(margins=margins, deadline=time.monotonic() + 20)
    assert made.run_all([a_run(2)]) == {"out of time": 1}
    shown = capfd.readouterr().err
    assert "training is not started" in shown and "about 61 s" in shown
    # A model that nobody has run is taken to need 1 + 2 * 5 s.
    assert made.run_all([a_run(2, model="sasrec")]) == {"done": 1}
    assert len(calls(made)) == 8


def test_rankings_need_little_time(runner, monkeypatch):
    monkeypatch.setenv("FAKE_FAILS", RANKING)
    runner().run_all([a_run(1)])
    monkeypatch.delenv("FAKE_FAILS")
    margins = Margins(first_epoch=900, ranking=2, poll=0.02)
    made = runner(margins=margins, deadline=time.monotonic() + 60)
    assert made.run_all([a_run(1)]) == {"done": 1}


def test_a_run_that_another_process_is_at_is_left_to_it(runner, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_EPOCH_SECONDS", "1")
    made = runner()
    places = [str(Path(__file__).parent), made.data, made.work, made.ledger]
    other = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, places)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: list(made.work.glob("*seed1*/calls.jsonl")))
        monkeypatch.setenv("FAKE_EPOCH_SECONDS", "0")
        assert made.run_all([a_run(1), a_run(3)]) == {"busy": 1, "done": 1}
        assert other.wait(60) == 0
    finally:
        other.kill()
    assert "another process is at it" in capfd.readouterr().err
    assert [line["seed"] for line in lines(made)] == [3, 1, 2]


def test_jax_trains_from_arrays_with_one_command(runner):
    made = runner(backend=choose_backend("jax"))
    np.savez(made.data / "beauty.npz", fingerprint=np.asarray("f00"))
    assert made.run_all([a_run(config="defaults", config_text=None)]) == {"done": 1}
    (line,) = lines(made)
    assert line["data_fingerprint"] == "f00"
    assert line["test"]["HR@20"] == 0.125 and "jax" in line["machine"]
    (call,) = calls(made)
    assert (call["module"], call["keras"]) == ("s4rec_tf.train_arrays", "jax")
    place = ["--arrays", str(made.data / "beauty.npz"), "--run_dir"]
    assert call["arguments"][:3] == place
    assert call["arguments"][4:] == [
        *("--model", "s4rec", "--set", "alpha=0.1", "seed=1"),
    ]


def test_jax_is_chosen_where_there_is_no_tensorflow(monkeypatch):
    assert isinstance(choose_backend("auto"), TensorFlowBackend)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(choose_backend("auto"), JaxBackend)
    assert isinstance(choose_backend("tensorflow"), TensorFlowBackend)
