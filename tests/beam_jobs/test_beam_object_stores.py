"""Logs and datasets in emulated object stores: a real client, a real server."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from beam_stores import Store
from without_statistics import leave_statistics_out

from beam_jobs import prepare_dataset, show
from beam_jobs.dataset.publish import OutputError, building
from beam_jobs.logs.files import InputError, match_files
from beam_jobs.storage.files import as_path, new_file
from beam_jobs.storage.remote_path import RemoteError, RemotePath, set_flags


def put(url: str, content: bytes) -> None:
    with new_file(as_path(url)) as stream:
        stream.write(content)


def names_in(store: Store) -> list[str]:
    return [str(path) for path in RemotePath(store.url).rglob("*")]


def log_content(seed: int) -> bytes:
    draw = random.Random(seed)
    lines = [
        json.dumps(
            {
                "reviewerID": f"u{draw.randrange(30)}",
                "asin": f"i{draw.randrange(9)}",
                "unixReviewTime": time,
            }
        )
        for time in range(400)
    ]
    return gzip.compress("\n".join(lines).encode())


def test_a_remote_path_is_like_a_local_one(store: Store) -> None:
    root = f"{store.url}/deep/folder"
    for name in ("b.txt", "a.txt", "more/c.log"):
        put(f"{root}/{name}", name.encode() * 3)
    folder = as_path(root)
    assert [path.name for path in folder.iterdir()] == ["a.txt", "b.txt", "more"]
    assert [path.name for path in folder.glob("*.txt")] == ["a.txt", "b.txt"]
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    assert found == ["a.txt", "b.txt", "more/c.log"]
    assert (folder / "more").is_dir() and not (folder / "more").is_file()
    file = folder / "more" / "c.log"
    assert file.is_file() and not file.is_dir() and file.exists()
    assert file.read_bytes() == b"more/c.log" * 3 and file.stat().st_size == 30
    assert file.parent.parent == folder and file.with_name("d").name == "d"
    file.unlink()
    file.unlink(missing_ok=True)
    assert not (folder / "more").exists()


def test_a_file_appears_whole_or_not_at_all(store: Store) -> None:
    path = as_path(f"{store.url}/file")
    with pytest.raises(RuntimeError), new_file(path) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert not path.exists()
    for content in (b"", b"x" * (3 << 20)):
        with new_file(path) as stream:
            stream.write(content)
        assert path.read_bytes() == content


def test_what_is_missing_is_named(store: Store) -> None:
    missing = as_path(f"{store.url}/nothing")
    with pytest.raises(OSError, match="nothing"):
        missing.read_bytes()
    with pytest.raises(RemoteError, match="nothing"):
        missing.stat()
    with pytest.raises(InputError, match=r"matches no file\. Received: '.*/none\*'"):
        match_files([f"{store.url}/none*"])


def test_an_unknown_scheme_names_the_extra() -> None:
    with (
        pytest.raises(RemoteError, match=r"ftp://host/out: no file system for ftp://"),
        building(as_path("ftp://host/out")),
    ):
        pass


def test_a_foreign_or_finished_folder_is_never_touched(store: Store) -> None:
    output = f"{store.url}/out"
    put(f"{output}/notes.txt", b"mine")
    with pytest.raises(OutputError, match=r"it holds notes\.txt"):
        with building(as_path(output)):
            pass
    put(f"{output}/MANIFEST.json", b"{}")
    with pytest.raises(OutputError, match="is a finished dataset already"):
        with building(as_path(output)):
            pass
    assert len(names_in(store)) == 2


def files_below(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch, store: Store) -> Callable[..., int]:
    leave_statistics_out(monkeypatch)

    def run(output: object, *inputs: object, **flags: Any) -> int:
        argv = ["--output", str(output), "--k_core=3", "--num_shards=1"]
        argv += ["--input", *map(str, inputs)]
        argv += [f"--{name}={value}" for name, value in flags.items()]
        return prepare_dataset.run([*argv, *store.flags])

    return run


def test_a_job_from_store_to_store_equals_a_local_one(
    tmp_path: Path, store: Store, prepare: Callable[..., int], capfdbinary: Any
) -> None:
    for day in (0, 1):
        (tmp_path / f"day-{day}.json.gz").write_bytes(log_content(day))
        put(f"{store.url}/logs/day-{day}.json.gz", log_content(day))
    assert prepare(tmp_path / "out", tmp_path / "day-*.gz") == 0
    assert prepare(f"{store.url}/out", f"{store.url}/logs/day-*.gz") == 0
    stored, local = (
        files_below(root) for root in (as_path(f"{store.url}/out"), tmp_path / "out")
    )
    # Only a store knows a checksum, and each has its own times.
    inputs = [json.loads(f.pop("dataset.json"))["inputs"] for f in (stored, local)]
    assert [each["name"] for each in inputs[0]] == ["day-0.json.gz", "day-1.json.gz"]
    assert all(each["checksum"] for each in inputs[0])
    assert [each["bytes"] for each in inputs[0]] == [e["bytes"] for e in inputs[1]]
    assert stored.pop("MANIFEST.json") != local.pop("MANIFEST.json")
    assert stored == local
    there = f"{store.url}/out"
    (first, second) = (f"{store.url}/logs/day-{day}.json.gz" for day in (0, 1))
    assert prepare(f"{store.url}/one", first) == 0
    assert prepare(f"{store.url}/two", second, previous=f"{store.url}/one") == 0
    shown = []
    for root in (tmp_path / "out", there, f"{store.url}/two"):
        capfdbinary.readouterr()
        set_flags(store.flags)
        show.show(as_path(str(root)))
        shown.append(capfdbinary.readouterr().out)
    assert shown[0] == shown[1] == shown[2] != b""


def test_a_job_that_fails_leaves_only_its_bad_records(
    store: Store, prepare: Callable[..., int], capsys: Any
) -> None:
    log = f"{store.url}/log.json"
    put(log, b"no json\n" * 5 + gzip.decompress(log_content(0)))
    assert prepare(f"{store.url}/out", log) == 1
    kept = f"{store.url}/out.bad_records"
    assert kept in capsys.readouterr().err
    assert names_in(store)[0] == log
    (name,) = names_in(store)[1:]
    assert name.startswith(f"{kept}/part-")


@pytest.mark.parametrize(
    "store", ["s3", pytest.param("gcs", marks=pytest.mark.slow)], indirect=True
)
def test_statistics_are_written_to_the_store(store: Store) -> None:
    log, output = f"{store.url}/log.json.gz", f"{store.url}/out"
    put(log, log_content(0))
    argv = ["--input", log, "--output", output, "--k_core=3", "--num_shards=1"]
    assert prepare_dataset.run([*argv, *store.flags]) == 0
    names = set(files_below(as_path(output)))
    assert {"statistics/train.pb", "statistics/index.html", "schema.pbtxt"} <= names
