"""Every kind of broken log stops the job, says why, and leaves what lies beside."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from without_statistics import leave_statistics_out

from beam_jobs import prepare_dataset
from s4rec_tf.spec import DatasetDir

START = 1_390_000_000  # 2014-01-17, an hour before midnight UTC
DAY = 86_400
COLUMNS = ["--format=csv", "--columns"]
JSON_COLUMNS = ["--format=json", "--columns=user=reviewerID,item=asin,time=at"]

Review = tuple[str, str, int]


def reviews(day: int, number: int = 8000) -> list[Review]:
    """A day's reviews, spread over the day."""
    draw = random.Random(day)
    return [
        (
            f"A{draw.randrange(1100):09d}X",
            f"B{int(25 * draw.random() ** 2):09d}",
            START + day * DAY + n * DAY // number,
        )
        for n in range(number)
    ]


def as_json(rows: list[Review], item: str = "asin", per_second: int = 1) -> bytes:
    records = [
        {"reviewerID": u, item: i, "unixReviewTime": t * per_second} for u, i, t in rows
    ]
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def as_json_2023(rows: list[Review]) -> bytes:
    records = [{"user_id": u, "parent_asin": i, "timestamp": t} for u, i, t in rows]
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def as_csv(rows: list[Review], order: str = "uit", header: str = "") -> bytes:
    lines = [
        ",".join(str(dict(u=u, i=i, t=t)[column]) for column in order)
        for u, i, t in rows
    ]
    return "\n".join([header, *lines] if header else lines).encode() + b"\n"


def run(output: Path, log: Path | None, *flags: Any) -> int:
    argv = ["--output", str(output), "--k_core=2", *map(str, flags)]
    return prepare_dataset.run(argv + (["--input", str(log)] if log else []))


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound dataset of one day, with its statistics."""
    root = tmp_path_factory.mktemp("yesterday")
    (root / "log").write_bytes(as_json(reviews(0)))
    assert run(root / "data", root / "log") == 0
    return root / "data"


def stopped(
    folder: Path, content: bytes, yesterday: Path, capsys: Any, *flags: Any
) -> str:
    """The last line of a job that must stop and leave everything as it was."""
    before = digests(yesterday)
    log = folder / "log"
    log.write_bytes(content)
    output = folder / "out"
    assert run(output, log, "--previous", yesterday, *flags) == 1
    said = str(capsys.readouterr().err)
    assert "Traceback" not in said
    assert digests(yesterday) == before
    DatasetDir(yesterday).verify()
    assert not output.exists()
    assert {path.name for path in folder.iterdir()} <= {"log", "out.bad_records"}
    return said.splitlines()[-1]


TODAY = reviews(1)


@pytest.mark.parametrize(
    ("content", "flags", "words"),
    [
        pytest.param(
            as_json(TODAY, per_second=1000),
            [],
            [
                "none of its first 200 lines can be read",
                "unixReviewTime (seconds)",
                "time 1390086400000 is, in seconds, beyond the year 2100; in "
                "milliseconds it is 2014-01-18",
                "give `--time_unit s|ms|us|ns`",
            ],
            id="milliseconds for seconds",
        ),
        pytest.param(
            as_json_2023(TODAY),
            [],
            [
                "timestamp must be milliseconds, is 1390086400; in seconds it is "
                "2014-01-18"
            ],
            id="seconds for milliseconds",
        ),
        pytest.param(
            as_csv([(u, i, t * 10**6) for u, i, t in TODAY]),
            [*COLUMNS, "user=0,item=1,time=2"],
            [
                "the times of column 2, such as 1390086400000000, ",
                "are too large for seconds; in us the first is 2014-01-18: give "
                "`--time_unit us`",
            ],
            id="microseconds",
        ),
        pytest.param(
            as_json(TODAY, item="product"),
            [],
            [
                "fits none of the formats",
                "needs the fields reviewerID, asin, unixReviewTime",
                "found: reviewerID, product, unixReviewTime",
            ],
            id="renamed field",
        ),
        pytest.param(
            as_json(TODAY, item="product"),
            ["--format=amazon"],
            ["no asin among the fields reviewerID, product, unixReviewTime"],
            id="renamed field of a named format",
        ),
        pytest.param(
            as_json(TODAY),
            JSON_COLUMNS,
            [
                "JSON with reviewerID (user), asin (item), at (time)",
                "no at among the fields reviewerID, asin, unixReviewTime",
            ],
            id="renamed field of --columns",
        ),
        pytest.param(
            as_csv(TODAY, header="user,product,time"),
            [*COLUMNS, "user=user,item=item,time=time"],
            [
                "no column 'item', named as item by `--columns` user=user,item=item,",
                "Its header: user,product,time",
            ],
            id="renamed column",
        ),
        pytest.param(
            as_csv(TODAY),
            [*COLUMNS, "user=user,item=item,time=time"],
            ["Its header: A0", "That looks like data", "by position"],
            id="no header",
        ),
        pytest.param(
            as_csv(TODAY, order="tui"),
            [*COLUMNS, "user=0,item=1,time=2"],
            [
                "user in 0, item in 1, time or date in 2",
                "bad_time: time is 'B0",
                "Received: '1390086400,A0",
            ],
            id="shuffled columns",
        ),
        pytest.param(
            as_csv(TODAY, order="iut"),
            [*COLUMNS, "user=0,item=1,time=2"],
            [
                "users and items seem to be swapped",
                "200 have a user that is an item of the dataset before",
                "and 0 an item that is one",
                "`--allow swapped_columns`",
            ],
            id="user and item swapped",
        ),
        pytest.param(
            as_csv([(f"{u}é", i, t) for u, i, t in TODAY]).decode().encode("latin-1"),
            [*COLUMNS, "user=0,item=1,time=2"],
            ["invalid_utf8", "Logs must be UTF-8: convert the file"],
            id="Latin-1",
        ),
        pytest.param(
            as_json(TODAY[:500]) + b'{"reviewerID": "A\xff", "asin": "B"}\n' * 5,
            [],
            [
                "5 of 505 lines are bad (0.99%; --max_bad_share allows 0.10%): "
                "invalid_utf8 5",
                '"line_number": 501',
            ],
            id="some invalid UTF-8",
        ),
        pytest.param(
            as_json(TODAY[::10]),
            [],
            [
                "have 800 rows, 10.0% of the usual 8,000",
                "at least 20% are expected",
                "lower `--min_rows_share`",
            ],
            id="a tenth of the rows",
        ),
    ],
)
def test_a_broken_log_stops_the_job(
    tmp_path: Path,
    capsys: Any,
    yesterday: Path,
    content: bytes,
    flags: list[str],
    words: list[str],
) -> None:
    said = stopped(tmp_path, content, yesterday, capsys, *flags)
    for text in words:
        assert text in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            b"".join(b"u%d a b c\n" % n if n % 3 else b"u%d \n" % n for n in range(30)),
            ["10 of 30 lines are bad", "missing_field 10", "a user without items"],
            id="some empty lists",
        ),
        pytest.param(
            b"u1 \nu2 \nu3 \n",
            ["none of its first 3 lines can be read", "a user without items"],
            id="empty lists only",
        ),
    ],
)
def test_users_without_items_stop_the_job(
    tmp_path: Path, capsys: Any, content: bytes, words: list[str]
) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert run(tmp_path / "out", log, "--format=sequences") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    for text in words:
        assert text in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        (as_json(TODAY[::10]), ["--min_rows_share=0.1"]),
        (
            as_csv(TODAY, order="iut"),
            [*COLUMNS, "user=0,item=1,time=2", "--allow", "swapped_columns"],
        ),
        (as_csv(TODAY, order="tui") + as_csv(TODAY), ["--max_bad_share=1", *COLUMNS]),
    ],
)
def test_an_exception_is_let_through(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    yesterday: Path,
    content: bytes,
    flags: list[str],
) -> None:
    leave_statistics_out(monkeypatch)
    if flags[-1] == "--columns":
        flags = [*flags, "user=0,item=1,time=2"]
    log = tmp_path / "log"
    log.write_bytes(content)
    assert run(tmp_path / "out", log, "--previous", yesterday, *flags) == 0
    DatasetDir(tmp_path / "out").verify()


def test_drift_stops_the_job_and_may_be_let_through(
    tmp_path: Path, capsys: Any, yesterday: Path
) -> None:
    # The same shape of log, of another shop: only the raw ids of items differ.
    log = tmp_path / "log"
    log.write_bytes(as_json([(u, i.replace("B", "C"), t) for u, i, t in reviews(0)]))
    before = digests(yesterday)
    flags = ["--previous_statistics", yesterday]
    assert run(tmp_path / "out", log, *flags) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        "item popularity: The Jensen-Shannon divergence by raw item id is 1.0" in said
    )
    assert "0 of 25 items before are among the 25 now" in said
    assert "let drift through by `--allow drift`" in said
    assert list(tmp_path.iterdir()) == [log]
    assert digests(yesterday) == before
    assert run(tmp_path / "out", log, *flags, "--allow", "drift") == 0
    assert "allowed: dataset with the previous dataset" in capsys.readouterr().err
    assert "# allowed: " in (tmp_path / "out" / "anomalies.pbtxt").read_text()
    history = json.loads((tmp_path / "out" / "statistics" / "history.json").read_text())
    assert [entry["rows"] for entry in history] == [8000, 8000]
    assert [entry["newest_day"] for entry in history] == ["2014-01-18"] * 2
    page = (tmp_path / "out" / "statistics" / "index.html").read_text()
    assert "The last 2 datasets" in page
    assert "Drift over the last datasets" in page
