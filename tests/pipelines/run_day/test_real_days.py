"""Days of the real stages on synthetic logs."""

import contextlib
import dataclasses
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.run_day import driver, infra_validation, versions
from pipelines.run_day.folders import Base
from pipelines.run_day.settings import Settings
from pipelines.synthetic_days import DaysSettings, write_days
from serving.servables.version_files import manifest_of, verify
from tests import forked
from tests.pipelines.run_day.killed import processes_of, wait_until

ROOT = Path(__file__).parents[3]
TINY = DaysSettings(
    days=2, history_days=8, users_a_day=20, items=48, intents=4, turnover=0.02
)
PREPARE = ("--format", "csv", "--columns", "user=user,item=item,time=time")
TRAIN = ("--model", "sasrec", "--set", "epochs=3", "dim=16", "num_layers=1")
TRAIN += ("max_length=10", "batch_size=64")
SETTINGS = Settings(
    prepare=(*PREPARE, "--k_core", "3"),
    train=("--model", "popularity"),  # the cheapest to train, measure and export
    max_drop=0.5,
    max_slice_drop=0.5,
    min_users=15,
)


def copies(module, arguments, log):
    """Runs a module as a copy of a process that has TensorFlow loaded."""
    done = forked.run(module, *arguments, timeout=400)
    log.write_text(done.stdout + done.stderr)
    return done.returncode


@pytest.fixture(scope="module")
def two_days(tmp_path_factory):
    """The base folder after a history and a day, and the logs."""
    root = tmp_path_factory.mktemp("days")
    logs = write_days(root / "logs", TINY)
    base = Base(root / "base", "shop")
    for last in (1, 2):
        driver.run(base, SETTINGS, logs[:last], False, copies, print)
    return base, logs


def test_two_days_are_in_service_with_their_lineage(two_days):
    base, logs = two_days
    assert versions.numbers(base) == [1, 2]
    for number, log in zip((1, 2), logs, strict=False):
        check_whole(base, number)
        found = versions.read_lineage(base, number)
        assert [entry["path"] for entry in found["logs"]] == [str(log)]
        assert found["training"]["configuration"]["model"] == "popularity"
    start = versions.read_lineage(base, 1)["training"]["weights"]
    assert found["training"]["warm_start"] == start


def test_second_day_knows_what_the_first_did_not(two_days):
    base, _ = two_days
    before, after = (
        (base.day(number).dataset / "item_vocab.txt").read_text().split()
        for number in (1, 2)
    )
    assert after[: len(before)] == before and len(after) >= len(before)
    served = (base.served / "2" / "assets" / "item_vocab.txt").read_text().split()
    assert served == after


def test_comparison_is_of_the_days_users(two_days):
    base, logs = two_days
    found = json.loads(base.day(2).blessing.read_text())["comparisons"]
    acted = {line.split(",")[0] for line in logs[1].read_text().splitlines()[1:]}
    whole = found[0]
    assert whole["slice"] == "all" and 15 <= whole["users"] <= len(acted)
    assert 0 < whole["candidate"] <= 1 and 0 < whole["baseline"] <= 1


def test_broken_export_is_refused_by_a_real_server(two_days, tmp_path, capsys):
    base, _ = two_days
    shutil.copytree(base.served, tmp_path / "shop")
    shutil.rmtree(tmp_path / "shop" / "1")
    graph = tmp_path / "shop" / "2" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-1000])
    flags = ["--version_dir", str(graph.parent), "--output", str(tmp_path / "found")]
    assert infra_validation.main(flags) == 1
    error = capsys.readouterr().err
    assert "saved_model.pb differs from its manifest" in error
    assert error.splitlines()[-1].startswith("infra_validation: the server ended with")
    assert not (tmp_path / "found").exists()


# Days of more than a thousand users, on which drift is judged.
LARGE = DaysSettings(
    days=2, history_days=20, users_a_day=400, items=200, intents=8, turnover=0.002
)


@pytest.mark.slow
def test_poisoned_day_and_worse_model_do_not_reach_service(tmp_path):
    good = write_days(tmp_path / "logs", LARGE)
    bots = dataclasses.replace(LARGE, bot_share=0.5)
    poisoned = write_days(tmp_path / "poisoned", bots)[2]
    base = Base(tmp_path / "base", "shop")
    judging = {"max_drop": 0.05, "max_slice_drop": 0.1}
    settings = dataclasses.replace(
        SETTINGS, train=TRAIN, export=("--refit",), **judging
    )

    def run(logs, chosen=settings):
        return driver.run(base, chosen, logs, False, copies, print)

    run(good[:1])
    run(good[:2])
    with pytest.raises(ValueError, match=r"day 3 is refused at validate: .*popularity"):
        run([*good[:2], poisoned])
    worse = (*TRAIN, "epochs=1", "learning_rate=1e-9")
    with pytest.raises(
        ValueError, match=r"NDCG@20 of all .*must not fall by more than"
    ):
        run(good, dataclasses.replace(settings, train=worse))
    assert versions.numbers(base) == [1, 2]
    assert run(good)["version"] == 3
    names = [Path(log["path"]) for log in versions.read_lineage(base, 3)["logs"]]
    assert names == [good[2]]


KILLS = 15


@pytest.mark.slow
def test_kills_of_real_stages(tmp_path):
    """SIGKILL after a step or two; every start goes on, and nothing is left behind."""
    given = [str(log) for log in write_days(tmp_path / "logs", TINY)]
    generator = random.Random(5)
    kills, last = 0, 1
    while kills < KILLS:
        process = start(tmp_path / "base", given[:last])
        if ended(process, tmp_path / "output", generator.randint(0, 2), generator):
            assert process.returncode == 0
            last += 1
        else:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        if last > len(given):
            given.append(str(another_day(tmp_path / f"more-{last}", last)))
        check_served(tmp_path / "base")
    assert start(tmp_path / "base", given[:last]).wait() == 0
    base = Base(tmp_path / "base", "shop")
    assert versions.in_service(base).day == last
    assert [day.read_outcome()["outcome"] for day in base.days()] == ["pushed"] * last
    wait_until(lambda: processes_of(tmp_path) == [])


def ended(process, output, steps, generator):
    """Waits until some steps more are done and the next is begun, or for the end."""
    begun = output.read_text().count(": done in")
    while output.read_text().count(": done in") < begun + steps:
        if process.poll() is not None:
            return True
        time.sleep(0.05)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(generator.uniform(0, 6))
    return process.poll() is not None


def another_day(folder, seed):
    return write_days(folder, dataclasses.replace(TINY, days=1, seed=seed))[1]


def start(base, logs):
    line = ["--base", str(base), "--name", "shop", "--logs", *logs]
    line += [f"--prepare={' '.join(SETTINGS.prepare)} --min_rows_share 0"]
    line += [f"--train={' '.join(TRAIN)}", "--export=--refit", "--allow_drift"]
    line += ["--max_drop", "1", "--max_slice_drop", "1", "--min_users", "5"]
    command = [sys.executable, "-m", "pipelines.run_day", *line]
    with (base.parent / "output").open("a") as sink:
        return subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=sink)


def check_whole(base, number):
    path = base.served / str(number)
    manifest = manifest_of(path)
    assert manifest["files"]
    verify(path, manifest)


def check_served(root):
    """Every version that a server could load now is whole."""
    base = Base(root, "shop")
    for number in versions.numbers(base):
        assert versions.has_lineage(base, number)
        check_whole(base, number)
