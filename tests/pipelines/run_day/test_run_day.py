"""Days one after the other: what runs, what is refused, what reaches service.

The stages are stand-ins here; `test_real_days.py` runs the real ones.
"""

import json
import os

import pytest

from pipelines.run_day import __main__ as command
from pipelines.run_day import driver, lock, versions
from s4rec_tf.spec import sha256_of_file

FIRST = ["prepare_dataset", "train", "train", "evaluate", "evaluate", "blessing"]
FIRST += ["export", "infra_validation"]
LATER = ["prepare_dataset", "prepare_dataset", "train", "evaluate", "evaluate"]
LATER += ["blessing", "export", "infra_validation"]


def lineage(world, number):
    return json.loads(
        (versions.meta_of(world.base, number) / "lineage.json").read_text()
    )


def line_of(world, module, which=-1):
    """The command line of a module's call, as text."""
    lines = zip(world.stages.calls, world.stages.lines, strict=True)
    return " ".join([line for name, line in lines if name == module][which])


def test_first_day_is_compared_with_popularity(world):
    assert world.run(1)["text"] == "version 1 of day 1 is in service"
    assert world.stages.calls == FIRST
    assert "--model popularity" in line_of(world, "train", 0)
    assert "floor --output" in line_of(world, "evaluate")
    assert list(world.served()) == ["1"]


def test_next_day_goes_on_from_the_one_in_service(world):
    world.run(1)
    assert world.run(1, 2)["version"] == 2
    assert world.stages.calls == LATER
    alone = line_of(world, "prepare_dataset", 0)
    assert f"--input {world.root}/log-2.csv --quiet --k_core 1" in alone
    assert f"--previous {world.base.day(1).dataset}" in line_of(
        world, "prepare_dataset"
    )
    assert f"--warm_start {world.base.day(1).run}" in line_of(world, "train")
    measured = line_of(world, "evaluate")
    assert f"--run_dir {world.base.day(1).run}" in measured
    assert measured.endswith("--later_dataset")


def test_third_day_is_compared_with_the_second_ones_actions(world):
    world.run(1)
    world.run(1, 2)
    world.run(1, 2, 3)
    assert world.stages.calls == [*LATER[:2], "drift", *LATER[2:]]
    folders = [world.base.day(number).increment for number in (3, 2)]
    assert line_of(world, "drift") == f"{folders[0]} {folders[1]} --times 1 --json"


def test_a_day_with_the_logs_of_a_failed_one_may_be_larger(world):
    world.run(1)
    world.stages.fail = "pipelines.run_day.infra_validation"
    with pytest.raises(ValueError, match="failed at infra_validate"):
        world.run(1, 2)
    world.stages.fail = None
    world.run(1, 2, 3)
    world.run(1, 2, 3, 4)
    folders = [world.base.day(number).increment for number in (4, 3)]
    assert line_of(world, "drift") == f"{folders[0]} {folders[1]} --times 0.5 --json"


def test_nothing_new_runs_nothing(world):
    world.run(1)
    assert world.run(1)["text"] == "up to date: version 1 of day 1 is in service"
    assert world.stages.calls == []
    # The same content under another name is no new log either.
    world.log(7, "log 1")
    world.run(1, 7)
    assert world.stages.calls == []


def test_lineage_says_what_made_a_version(world):
    world.run(1)
    world.run(1, 2, train=("--set", "seed=5"))
    found = lineage(world, 2)
    log = world.root / "log-2.csv"
    assert [(one["path"], one["sha256"]) for one in found["logs"]] == [
        (str(log), sha256_of_file(log))
    ]
    assert (found["day"], found["previous_day"], found["previous_version"]) == (2, 1, 1)
    assert found["training"]["flags"] == ["--set", "seed=5"]
    assert found["training"]["seed"] == 1 and found["code"]
    manifest = world.base.day(2).dataset / "MANIFEST.json"
    files = json.loads(manifest.read_text())["files"]
    assert files["item_vocab.txt"]["sha256"]
    assert len(found["dataset"]["fingerprint"]) == 64
    assert found["blessing"] == {"comparisons": [], "refusals": []}


def test_other_training_flags_start_from_new_weights(world):
    world.run(1)
    world.run(1, 2, train=("--model", "bpr"))
    assert "--warm_start" not in line_of(world, "train")
    assert "train: from new weights, since the flags are others" in world.reported


def test_a_date_splits_by_time(world):
    from datetime import date

    world.run(1, day=date(2014, 7, 1))
    split = "--split global_time --valid_from 2014-06-30 --test_from 2014-07-01"
    assert split in line_of(world, "prepare_dataset")


@pytest.mark.parametrize(
    ("module", "step", "kind"),
    [
        ("beam_jobs.prepare_dataset", "prepare", "refused"),
        ("s4rec_tf.train", "train", "failed"),
        ("s4rec_tf.evaluate", "evaluate", "failed"),
        ("s4rec_tf.export", "export", "failed"),
        ("pipelines.run_day.infra_validation", "infra_validate", "failed"),
    ],
)
def test_a_day_that_fails_never_reaches_service(world, module, step, kind):
    world.run(1)
    before = world.served()
    world.stages.fail = module
    with pytest.raises(ValueError, match=f"day 2 is {kind} at {step}: .*the reason"):
        world.run(1, 2)
    assert world.served() == before
    # Again, once the cause is gone: only what is left is done.
    world.stages.fail = None
    assert world.run(1, 2)["version"] == 2
    name = module.rpartition(".")[2]
    assert world.stages.calls == LATER[LATER.index(name) :]


def refuse(world, *logs, **settings):
    world.stages.refusals = ["NDCG@20 of tail must not fall"]
    with pytest.raises(ValueError, match="refused at bless: NDCG@20 of tail must not"):
        world.run(*logs, **settings)
    world.stages.refusals = []


def test_a_worse_model_never_reaches_service(world):
    world.run(1)
    refuse(world, 1, 2)
    assert list(world.served()) == ["1"]
    assert "export" not in world.stages.calls
    assert not world.base.day(2).export.exists()


def test_a_refused_day_is_judged_again_by_other_thresholds_alone(world):
    world.run(1)
    refuse(world, 1, 2)
    with pytest.raises(ValueError, match="refused at bless"):
        world.run(1, 2)
    assert world.stages.calls == []
    assert world.run(1, 2, max_drop=0.5)["version"] == 2
    assert world.stages.calls == ["blessing", "export", "infra_validation"]


def test_drift_stops_a_day_before_it_is_trained_on(world):
    world.run(1)
    world.run(1, 2)
    world.stages.anomalies = ["item_ids: 0.4 of 0.1"]
    with pytest.raises(ValueError, match=r"refused at validate: .*item_ids: 0\.4 of 0"):
        world.run(1, 2, 3)
    assert world.stages.calls == [*LATER[:2], "drift"]
    assert list(world.served()) == ["1", "2"]
    assert world.run(1, 2, 3, allow_drift=True)["version"] == 3


def test_logs_of_a_refused_day_stay_out_until_asked_for(world):
    world.run(1)
    refuse(world, 1, 2)
    assert world.run(1, 2, 3)["day"] == 3
    text = f"left out, since their day was refused or withdrawn: {world.root}/log-2.csv"
    assert text in world.reported
    assert lineage(world, 2)["previous_day"] == 1
    assert [log["path"][-5] for log in lineage(world, 2)["logs"]] == ["3"]
    world.run(1, 2, 3, take_left_out=True)
    assert [log["path"][-5] for log in lineage(world, 3)["logs"]] == ["2"]
    world.run(1, 2, 3)
    assert world.stages.calls == [] and world.reported == []


def test_logs_of_a_failed_day_are_taken_with_the_next(world):
    world.run(1)
    world.stages.fail = "s4rec_tf.train"
    with pytest.raises(ValueError, match="day 2 is failed"):
        world.run(1, 2)
    world.stages.fail = None
    assert world.run(1, 2, 3)["day"] == 3
    assert [log["path"][-5] for log in lineage(world, 2)["logs"]] == ["2", "3"]


def test_a_log_that_changes_under_an_unfinished_day_is_read_anew(world):
    world.run(1)
    world.run(1, 2, until="prepare")
    world.log(2, "mended")
    assert world.run(1, 2)["version"] == 2
    assert world.stages.calls == LATER
    log = world.root / "log-2.csv"
    assert lineage(world, 2)["logs"][0]["sha256"] == sha256_of_file(log)


def test_steps_can_be_run_one_by_one(world):
    world.run(1)
    done = []
    for step in command.STEPS:
        found = world.run(1, 2, until=step)
        done += world.stages.calls
    assert found["version"] == 2
    assert done == LATER


def test_rollback_is_kept_until_a_new_day(world):
    for last in (1, 2, 3):
        world.run(*range(1, last + 1))
    before = world.served()
    found = driver.rollback(world.base)
    assert (found["withdrawn"], found["version"]) == (3, 2)
    assert world.served() == {name: before[name] for name in ("1", "2")}
    assert world.run(1, 2, 3)["version"] == 2  # nothing new: it stays withdrawn
    assert world.stages.calls == []
    # The next day goes on from day 2, and its number is none that was used.
    assert world.run(1, 2, 3, 4)["version"] == 4
    assert lineage(world, 4)["previous_day"] == 2


def test_rollback_needs_a_version_before(world):
    world.run(1)
    with pytest.raises(ValueError, match=r"needs two versions in .*Received: \[1\]"):
        driver.rollback(world.base)
    assert list(world.served()) == ["1"]


def test_old_versions_and_days_are_pruned(world):
    for last in range(1, 6):
        world.run(*range(1, last + 1), keep=2)
    assert sorted(world.served()) == ["4", "5"]
    assert not list(world.base.served.glob(".[wp]*-*"))
    bulk = {day.number for day in world.base.days() for p in day.bulk() if p.exists()}
    assert bulk == {4, 5}
    # Plans and outcomes stay: a log of a pruned day is not new.
    world.run(1, 2, keep=2)
    assert world.stages.calls == []
    assert not world.base.day(5).export.exists()


def test_version_of_another_command_is_refused(world):
    world.run(1)
    (world.base.served / "9").mkdir()
    with pytest.raises(ValueError, match=r"version 9 in .* was not pushed by this"):
        world.run(1, 2)


def test_second_runner_is_refused_with_pid_and_since_when(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("log")
    with lock.locked(tmp_path):
        flags = ["--base", str(tmp_path), "--logs", str(tmp_path / "a.csv")]
        assert command.main(flags) == 1
        error = capsys.readouterr().err
        holder = json.loads((tmp_path / ".lock").read_text())
    assert holder["pid"] == os.getpid()
    assert f"process {os.getpid()} runs a day there since {holder['since']}" in error
    with lock.locked(tmp_path):  # free again
        pass


def test_status_has_a_line_for_every_day(world):
    world.run(1)
    refuse(world, 1, 2)
    world.run(1, 2, 3, until="train")
    assert driver.status(world.base).splitlines() == [
        "day 1, 1 logs: pushed, version 1 in service",
        "day 2, 1 logs: refused at bless: NDCG@20 of tail must not fall",
        "day 3, 1 logs: unfinished",
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: --logs"),
        (["--logs", "a", "--keep", "1"], "--keep must be at least 2. Received: 1"),
        (["--logs", "a", "--train=--run_dir x"], "--train must leave --run_dir to"),
        (["--logs", "a", "--prepare=--split=files"], "--prepare must leave --split"),
    ],
)
def test_wrong_usage_is_an_error_of_one_line(flags, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        command.parse_args(["--base", str(tmp_path), *flags])
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_logs_that_are_not_there_are_named(tmp_path, capsys):
    flags = ["--base", str(tmp_path / "base"), "--logs", str(tmp_path / "*.gz")]
    assert command.main(flags) == 1
    assert "--logs names no file. Received: " in capsys.readouterr().err
