import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest
import yaml
from optuna.trial import TrialState
from page_reading import needs_nothing_else, plots

from pipelines.tune import results
from pipelines.tune.study import Study, StudyError, begun_trials
from pipelines.tune.trials import OutOfTime, TrialFailed, TrialRunner
from s4rec_tf.search_ranges import Choices, Numbers

FAKE = (sys.executable, str(Path(__file__).with_name("fake_search.py")))
RANGES = {"learning_rate": Numbers(1e-4, 1e-2, log=True), "dim": Choices((32, 64))}
SETTINGS = {"model": "sasrec", "learning_rate": 1e-3, "dim": 64, "epochs": 3}


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def make_runner(**options):
    return TrialRunner(Path("data"), SETTINGS, command=FAKE, poll=0.01, **options)


def make_study(root, seed=0):
    study = Study(root, RANGES, seed)
    study.open({"model": "sasrec"}, {"learning_rate": 1e-3, "dim": 64})
    return study


def work(root, most, seed=0):
    study, runner = make_study(root, seed), make_runner()
    while True:
        with study.next_trial(most) as taken:
            if taken is None:
                return study
            runner.run(*taken)


def test_search_comes_near_the_best_and_prunes_what_is_low(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_EPOCH_SECONDS", "0.02")
    loaded = work(tmp_path, 16).load()
    states = [trial.state for trial in loaded.trials]
    assert len(states) == 16 and TrialState.PRUNED in states
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    assert 0.0015 < loaded.best_params["learning_rate"] < 0.006
    # The first trial is the configuration as it stands: 0.5 - log10(3) decades.
    assert loaded.trials[0].params == {"learning_rate": 1e-3, "dim": 64}
    assert loaded.trials[0].value == pytest.approx(0.0228787, abs=1e-6)


def test_search_in_two_parts_draws_what_one_draws(tmp_path):
    whole = work(tmp_path / "whole", 8).load()
    work(tmp_path / "parts", 3)
    parts = work(tmp_path / "parts", 8).load()
    assert [t.params for t in parts.trials] == [t.params for t in whole.trials]


def test_two_processes_share_trials_and_draw_different_ones(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(tmp_path, 6)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    trials = make_study(tmp_path).load().trials
    assert len(trials) == 6 and all(t.state.is_finished() for t in trials)
    assert len({t.params["learning_rate"] for t in trials}) == 6


def test_killed_trial_is_resumed_in_its_folder(tmp_path):
    def take(root):
        with make_study(root).next_trial(5):
            time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=take, args=(tmp_path,))
    process.start()
    lock = tmp_path / "trial_0000" / ".trial.lock"
    while not lock.exists():
        time.sleep(0.02)
    study = make_study(tmp_path)
    with study.next_trial(5) as taken:
        assert taken[1].name == "trial_0001"  # the other one's process lives
        taken[0].study.tell(taken[0], 0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with study.next_trial(5) as taken:
        assert taken[1].name == "trial_0000"
        assert taken[0].params == {"learning_rate": 1e-3, "dim": 64}
        taken[0].study.tell(taken[0], 0.2)
    assert [trial.value for trial in begun_trials(study.load())] == [0.2, 0.1]


def test_trial_stopped_by_the_deadline_resumes(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_EPOCH_SECONDS", "0.4")
    study, runner = make_study(tmp_path), make_runner(deadline=time.monotonic() + 0.7)
    with pytest.raises(OutOfTime), study.next_trial(1) as taken:
        runner.run(*taken)
    log = tmp_path / "trial_0000" / "run" / "metrics.jsonl"
    before = log.read_text() if log.is_file() else ""
    assert begun_trials(study.load()) == []
    loaded = work(tmp_path, 1).load()
    assert loaded.best_value == pytest.approx(0.0228787, abs=1e-6)
    assert log.read_text().startswith(before)
    assert [trial.state.name for trial in begun_trials(loaded)] == ["COMPLETE"]


def test_failed_training_names_its_log_and_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAILS", "1")
    study = make_study(tmp_path)
    with pytest.raises(TrialFailed, match=r"exit code 1: see .*train\.log"):
        with study.next_trial(1) as taken:
            make_runner().run(*taken)
    assert "out of memory" in (tmp_path / "trial_0000" / "train.log").read_text()
    with study.next_trial(1) as taken:
        assert taken is None


def test_folder_of_another_search_is_refused(tmp_path):
    make_study(tmp_path)
    with pytest.raises(StudyError, match="model: 'sasrec' there, 'bpr' asked for"):
        Study(tmp_path, RANGES, 0).open({"model": "bpr"})


def test_winner_table_and_page(tmp_path):
    loaded = work(tmp_path, 3).load()
    results.write_results(loaded, tmp_path, SETTINGS, "Search of sasrec")
    winner = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert winner == {**SETTINGS, **loaded.best_params}
    rows = (tmp_path / "trials.md").read_text().splitlines()
    assert rows[2] == "| trial | state | NDCG@20 | epochs | learning_rate | dim |"
    assert len(rows) == 7
    assert rows[4].startswith(f"| trial_{loaded.best_trial.number:04d} | complete | ")
    page = (tmp_path / "report.html").read_text()
    drawn = plots(page)
    assert list(drawn) == ["Importance", "History", "Validation by epoch"]
    assert all(go.Figure(figure).data for figure in drawn.values())
    assert needs_nothing_else(page)


def test_page_of_a_search_without_a_finished_trial(tmp_path):
    results.write_results(make_study(tmp_path).load(), tmp_path, SETTINGS, "Empty")
    assert not (tmp_path / "best.yaml").exists()
    assert "History" not in plots((tmp_path / "report.html").read_text())
