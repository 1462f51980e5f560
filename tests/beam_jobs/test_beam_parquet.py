"""Parquet files and JSON lines with names of the user's own."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs import prepare_dataset, show

pytestmark = pytest.mark.usefixtures("no_tfdv")

USERS, ITEMS = 5, 4
COLUMNS = "user=customer,item=sku,time=at"


def actions() -> list[tuple[int, int, int]]:
    """Every user acts on every item, each in another order."""
    return [
        (user, (user + step) % ITEMS, 1_400_000_000 + 86_400 * step)
        for user in range(USERS)
        for step in range(ITEMS)
    ]


def prepare(output: Path, log: Path, *flags: str) -> int:
    argv = ["--input", str(log), "--output", str(output), "--k_core=1", *flags]
    return prepare_dataset.run(argv)


def shown(root: Path, capfdbinary: Any) -> bytes:
    capfdbinary.readouterr()
    assert show.run([str(root)]) == 0
    return bytes(capfdbinary.readouterr().out)


def expected_lines(prefix: str = "") -> bytes:
    lines = [
        f"{user}\t"
        + " ".join(f"{prefix}{(user + step) % ITEMS}" for step in range(ITEMS))
        for user in range(USERS)
    ]
    return "".join(line + "\n" for line in lines).encode()


def write_table(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


def test_columns_of_any_name_and_type(tmp_path: Path, capfdbinary: Any) -> None:
    users, items, times = map(list, zip(*actions(), strict=True))
    moments = [datetime.datetime.fromtimestamp(t, datetime.UTC) for t in times]
    forms = {
        "numbers": {"customer": users, "sku": items, "at": times},
        "milliseconds": {
            "customer": users,
            "sku": items,
            "at": [time * 1000 for time in times],
        },
        "typed": {
            "customer": [str(user) for user in users],
            "sku": [str(item).encode() for item in items],
            "at": moments,
            "text": ["not needed"] * len(users),
        },
    }
    for name, columns in forms.items():
        log = write_table(tmp_path / f"{name}.parquet", **columns)
        output = tmp_path / name
        assert prepare(output, log, f"--columns={COLUMNS}") == 0
        assert shown(output, capfdbinary) == expected_lines()


def test_amazon_columns_are_known(tmp_path: Path, capfdbinary: Any) -> None:
    users, items, times = map(list, zip(*actions(), strict=True))
    log = write_table(
        tmp_path / "log.parquet",
        user_id=[str(user) for user in users],
        parent_asin=[f"B{item}" for item in items],
        timestamp=[time * 1000 for time in times],
        title=["good"] * len(users),
    )
    assert prepare(tmp_path / "out", log) == 0
    assert shown(tmp_path / "out", capfdbinary) == expected_lines("B")


def test_json_lines_with_names_of_their_own(tmp_path: Path, capfdbinary: Any) -> None:
    records = [
        {"customer": user, "sku": str(item), "at": f"{time}", "rate": 3}
        for user, item, time in actions()
    ]
    log = tmp_path / "log.json.gz"
    with gzip.open(log, "wt") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records)
    flags = ["--format=json", f"--columns={COLUMNS},rating=rate", "--min_rating=3"]
    assert prepare(tmp_path / "out", log, *flags) == 0
    assert shown(tmp_path / "out", capfdbinary) == expected_lines()


def test_a_bad_row_is_kept_with_its_reason(tmp_path: Path) -> None:
    users, items, times = map(list, zip(*actions(), strict=True))
    log = write_table(
        tmp_path / "log.parquet",
        customer=[*users[:-1], None],
        sku=items,
        at=times,
    )
    flags = [f"--columns={COLUMNS}", "--max_bad_share=0.1"]
    assert prepare(tmp_path / "out", log, *flags) == 0
    (kept,) = (tmp_path / "out" / "bad_records").iterdir()
    entry = json.loads(kept.read_text())
    assert entry["reason"] == "wrong_type"
    assert entry["line_number"] == len(users)
    assert json.loads(entry["content"])["customer"] is None


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (b"PAR1 and nothing else", [], "is a damaged Parquet file"),
        (None, [], "fits none of the formats"),
        (None, ["--columns=user=no,item=sku,time=at"], "fits none of the formats"),
        (
            None,
            [f"--columns={COLUMNS}", "--format=json", "--min_rating=2"],
            "--min_rating needs ratings",
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, capsys: Any, content: bytes | None, flags: list[str], message: str
) -> None:
    log = tmp_path / "log.parquet"
    if content is None:
        write_table(log, customer=[1], sku=[2], at=[1_600_000_000])
    else:
        log.write_bytes(content)
    assert prepare(tmp_path / "out", log, *flags) == 1
    assert message in capsys.readouterr().err
