"""An engine that loses records between two steps is found, and nothing is published."""

import pytest

from beam_jobs import prepare_dataset, runner
from beam_jobs.balance import LostRecordsError, check_examples, check_reading
from beam_jobs.job_report import JobReport
from beam_jobs.sinks import shards
from beam_jobs.storage.digests import WrittenFile
from s4rec_tf.spec import DatasetDir

COUNTS = {
    "interactions": 90,
    "previous_actions": 20,
    "erased": 10,
    "grouped_actions": 100,
    "bad": 4,
    "actions_in_core": 70,
    "head_users": 3,
    "train_examples": 12,
    "valid_examples": 12,
    "test_examples": 12,
}


COLUMNS = (
    *("--format", "csv", "--columns", "user=user_id,item=item_id,time=timestamp"),
    *("--k_core", "1"),
)


def report_of(**changes):
    """A report whose every count fits, but for the changes."""
    arrived = {"actions": 100, "bad_records": 4, "train": 12, "valid": 12, "test": 12}
    files = [
        WrittenFile(f"{folder}/part", "", 1, number, changes.get(folder, number))
        for folder, number in arrived.items()
    ]
    return JobReport(counts=COUNTS | changes, files=files, head=(3, 5))


def test_counts_that_fit_pass():
    check_reading(report_of(), False)
    check_reading(report_of(interactions=95), True)
    check_examples(report_of(), [40, 30])


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"interactions": 91}, "grouping by user. Received: 100"),
        ({"actions": 99}, "actions/. Received: 99"),
        ({"bad_records": 3}, "bad_records/. Received: 3"),
    ],
)
def test_actions_that_are_lost_are_found(changes, step):
    with pytest.raises(LostRecordsError, match=step):
        check_reading(report_of(**changes), False)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"actions_in_core": 71}, "counting items. Received: 70"),
        ({"head_users": 2}, "making examples. Received: 2"),
        ({"train": 11}, "train/. Received: 11"),
        ({"valid": 13}, "valid/. Received: 13"),
        ({"test": 0}, "test/. Received: 0"),
    ],
)
def test_examples_that_are_lost_are_found(changes, step):
    with pytest.raises(LostRecordsError, match=step):
        check_examples(report_of(**changes), [40, 30])


@pytest.fixture
def job(tmp_path):
    """The command line of a job of fifty actions."""
    log = tmp_path / "log.csv"
    rows = [f"u{n},i{n % 7},{1_600_000_000 + n}" for n in range(50)]
    log.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    return ["--input", str(log), "--output", str(tmp_path / "out"), *COLUMNS]


def lose_while(monkeypatch, is_losing):
    """Has workers lose a line of every value while a function says so."""
    given = shards.split_lines
    monkeypatch.setattr(
        "beam_jobs.sinks.write_actions.split_lines",
        lambda packed: given(packed)[is_losing() :],
    )


def test_a_job_that_loses_actions_publishes_nothing(tmp_path, monkeypatch, capsys, job):
    lose_while(monkeypatch, lambda: True)
    assert prepare_dataset.run(job) == 1
    assert "every one of 50 actions must come to actions/" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_was_lost_once_is_made_again(tmp_path, monkeypatch, capsys, job):
    marker = tmp_path / "lost"
    run_pipeline = runner.run_pipeline

    def run(*arguments):
        found = run_pipeline(*arguments)
        marker.touch()
        return found

    lose_while(monkeypatch, lambda: not marker.exists())
    monkeypatch.setattr(runner, "run_pipeline", run)
    assert prepare_dataset.run(job) == 0
    assert "the pipeline is run once more" in capsys.readouterr().err
    counts = DatasetDir(tmp_path / "out").read_manifest()["counts"]
    assert (counts["distinct_actions"], counts["duplicates"]) == (50, 0)
