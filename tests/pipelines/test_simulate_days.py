"""Simulated days with stand-ins for the stages: rows, refusals, the page."""

import pytest

from pipelines.run_day.folders import Base
from pipelines.simulate_days import __main__ as command
from pipelines.simulate_days import days, page
from tests.pipelines.run_day.fake_stages import FakeStages

ARGS = {"days": 2, "users_a_day": 60, "seed": 7, "train": ["--model", "sasrec"]}


@pytest.fixture
def stages():
    found = FakeStages()
    whole = {"metric": "NDCG@20", "slice": "all", "users": 30, "interval": [-0.1, 0.3]}
    found.comparisons = [whole | {"candidate": 0.4, "baseline": 0.25}]
    return found


@pytest.fixture
def simulate(tmp_path, stages):
    """Runs the days of the first logs; the rows."""
    logs = [tmp_path / f"day-{number}.csv" for number in range(3)]
    for log in logs:
        log.write_text(log.name)
    base = Base(tmp_path / "out" / "base", "simulated")
    simulation = days.Simulation(base, ("--model", "sasrec"), stages)
    return lambda count=3: simulation.run(logs[:count])


def test_every_day_is_measured_beside_a_rebuild_of_all_logs(simulate, stages):
    first, *rows = simulate()
    assert set(first) == {"day", "refusal", "seconds"}
    for number, row in enumerate(rows, start=1):
        assert (row["day"], row["version"], row["refusal"]) == (number, number + 1, "")
        # The rebuild is the candidate of its comparison, the day's model the baseline.
        assert (row["rebuild"], row["daily"], row["before"]) == (0.4, 0.25, 0.25)
        assert row["interval"] == [-0.1, 0.3] and row["judged_users"] == 30
        assert row["bytes"] > 0 and row["items"] == 7
    built = [
        " ".join(line)
        for name, line in zip(stages.calls, stages.lines, strict=True)
        if name == "prepare_dataset" and line[-1].endswith("rebuild/dataset")
    ]
    assert [text.count(".csv") for text in built] == [2, 3]


def test_measured_days_are_not_run_again(simulate, stages):
    whole = simulate(2)
    stages.calls.clear()
    assert simulate(2) == whole
    assert stages.calls == []


def test_refused_day_is_a_row(simulate, stages):
    simulate(2)
    stages.refusals = ["NDCG@20 of tail must not fall"]
    row = simulate()[2]
    assert "day 3 is refused at bless: NDCG@20 of tail" in row["refusal"]
    assert "daily" not in row


def test_page_draws_what_was_measured_and_names_refusals(simulate, stages, tmp_path):
    simulate(2)
    stages.refusals = ["NDCG@20 of tail must not fall"]
    page.write(tmp_path / "page" / "days", simulate(), ARGS)
    text = (tmp_path / "page" / "days.md").read_text()
    assert "1 days measured, 1 refused or failed" in text
    assert "+0.1500 from that of the day's model" in text
    assert "on 0 days the 95 % interval of the difference leaves out 0" in text
    assert "must not fall" in text and "--seed 7 with --model sasrec" in text
    assert "plotly" in (tmp_path / "page" / "days.html").read_text("utf-8").lower()


def test_command_reads_its_flags():
    args = command.parse_args(["--days", "2", "--train=--model bpr"])
    assert (args.days, args.train) == (2, ["--model", "bpr"])
