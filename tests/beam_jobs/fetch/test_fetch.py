import gzip
import hashlib
import json
import os
import random
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from file_server import FileServer

from beam_jobs.fetch import download
from beam_jobs.fetch.__main__ import main
from beam_jobs.fetch.catalogue import CATALOGUE
from beam_jobs.options import parse_args as parse_prepare

ROOT = Path(__file__).parents[3]
NAME = "reviews_Beauty_5.json.gz"
TIMES = range(880_000_000, 880_000_009)
RATINGS = "".join(
    f"{time % 9}\t{item}\t5\t{time}\n" for time in TIMES for item in range(7)
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(tmp_path):
    """A server and the bytes of its one file, a gzip log of 4 MB."""
    folder = tmp_path / "served"
    folder.mkdir()
    noise = random.Random(3).randbytes(4_000_000)
    (folder / NAME).write_bytes(gzip.compress(noise, 1, mtime=0))
    with FileServer(folder) as server:
        yield server


def content(server):
    return (server.folder / NAME).read_bytes()


def arrived(server):
    return server.folder.parent / "logs/beauty" / NAME


def fetch_beauty(server, *flags):
    return main(["beauty", "--url", server.url(NAME), *flags])


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_log_arrives_as_it_is_stored_with_receipt_terms_and_command(served, capsys):
    assert fetch_beauty(served) == 0
    assert arrived(served).read_bytes() == content(served)
    receipt = json.loads(arrived(served).with_name("FETCHED.json").read_text())
    assert receipt["sha256"] == hashlib.sha256(content(served)).hexdigest()
    assert (receipt["bytes"], receipt["checked"]) == (len(content(served)), "first_use")
    out, err = capsys.readouterr()
    command = "python -m beam_jobs.prepare_dataset --input"
    assert out.splitlines()[-1] == (
        f"{command} logs/beauty/{NAME} --format amazon --output data/beauty"
    )
    assert "nothing to compare with: recorded in FETCHED.json" in out
    assert "terms: Published for research; the publisher states no licence." in err


def test_whole_file_is_not_fetched_again(served, capsys):
    fetch_beauty(served)
    capsys.readouterr()
    assert fetch_beauty(served, "--quiet") == 0
    assert served.ranges == [None]
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (1, "")


def test_download_that_breaks_off_goes_on_where_it_stopped(served):
    served.break_after = [1_500_000, 900_000]
    assert fetch_beauty(served) == 0
    assert served.ranges == [None, "bytes=1500000-", "bytes=2400000-"]
    assert arrived(served).read_bytes() == content(served)


def test_next_command_goes_on_where_a_killed_one_stopped(served):
    served.break_after = [1_000_000] + [0] * 9
    assert fetch_beauty(served) == 1
    served.break_after = []
    assert fetch_beauty(served) == 0
    assert served.ranges[-1] == "bytes=1000000-"
    folder = served.folder.parent / "logs/beauty"
    assert (folder / NAME).read_bytes() == content(served)
    assert sorted(p.name for p in folder.iterdir()) == ["FETCHED.json", NAME]


def test_file_that_changed_meanwhile_is_fetched_from_its_start(served):
    served.break_after = [1_000_000] + [0] * 9
    fetch_beauty(served)
    served.break_after = []
    (served.folder / NAME).write_bytes(gzip.compress(b"another", mtime=0))
    assert fetch_beauty(served) == 0
    assert arrived(served).read_bytes() == content(served)


def test_server_without_ranges_sends_the_file_anew(served):
    served.break_after = [1_000_000]
    served.supports_ranges = False
    assert fetch_beauty(served) == 0
    assert arrived(served).read_bytes() == content(served)


def test_part_that_is_whole_already_is_taken(served):
    part = served.folder.parent / "logs/beauty" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    served.break_after = [1_000_000] + [0] * 9
    fetch_beauty(served)
    served.break_after = []
    part.write_bytes(content(served))
    assert fetch_beauty(served) == 0
    assert served.ranges[-1] == f"bytes={len(content(served))}-"


def test_other_bytes_than_expected_are_refused(served, capsys):
    wrong = "0" * 64
    assert fetch_beauty(served, "--sha256", wrong) == 1
    real = hashlib.sha256(content(served)).hexdigest()
    error = capsys.readouterr().err
    assert f"must have the sha256 {wrong}. Received: {real}" in error
    assert not arrived(served).exists()
    assert fetch_beauty(served, "--sha256", real) == 0


def test_later_fetch_must_agree_with_the_first(served, capsys):
    fetch_beauty(served)
    arrived(served).unlink()
    (served.folder / NAME).write_bytes(gzip.compress(b"another", mtime=0))
    assert fetch_beauty(served) == 1
    assert "must have the sha256" in capsys.readouterr().err


def test_catalogues_digest_counts(served, capsys):
    zipped(served.folder / "ml-1m.zip", {"ml-1m/ratings.dat": "1::1::5::1\n"})
    assert main(["ml-1m", "--url", served.url("ml-1m.zip")]) == 1
    expected = "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"
    assert f"must have the sha256 {expected}. Received: " in capsys.readouterr().err


def test_archive_gives_its_log_and_its_terms(tmp_path, capsys):
    members = {"ml-100k/u.data": RATINGS, "ml-100k/README": "terms", "ml-100k/u.x": "-"}
    digest = zipped(tmp_path / "mine.zip", members)
    argv = ["ml-100k", "--from-file", "mine.zip", "--sha256", digest, "--json"]
    assert main(argv) == 0
    result = json.loads(capsys.readouterr().out)
    assert (tmp_path / "logs/ml-100k/u.data").read_text() == RATINGS
    assert (tmp_path / "logs/ml-100k/README").read_text() == "terms"
    assert not (tmp_path / "logs/ml-100k/u.x").exists()
    assert (result["sha256"], result["checked"]) == (digest, "given")
    assert result["terms"]["page"] == "https://grouplens.org/datasets/movielens/"
    assert parse_prepare(result["command"][3:]).inputs == ("logs/ml-100k/u.data",)


def test_archive_without_its_log_is_refused(tmp_path, capsys):
    digest = zipped(tmp_path / "mine.zip", {"ml-100k/README": "terms"})
    assert main(["ml-100k", "--from_file", "mine.zip", "--sha256", digest]) == 1
    assert "must hold ml-100k/u.data" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"<html>no</html>"])
def test_damaged_gzip_is_refused(tmp_path, capsys, damage):
    (tmp_path / "mine.gz").write_bytes(damage(gzip.compress(RATINGS.encode())))
    assert main(["toys", "--from_file", "mine.gz"]) == 1
    assert "reviews_Toys_and_Games_5.json.gz is damaged: " in capsys.readouterr().err
    assert not (tmp_path / "logs/toys/FETCHED.json").exists()


def test_missing_file_is_named(capsys):
    assert main(["toys", "--from_file", "nowhere.gz"]) == 1
    assert "nowhere.gz" in capsys.readouterr().err


def test_without_a_network_the_other_way_is_named(capsys):
    assert main(["sports", "--url", "http://127.0.0.1:9/x.gz"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("fetch: error: http://127.0.0.1:9/x.gz cannot be read: ")
    address = CATALOGUE["sports"].url
    assert f"download {address} on another and run: " in error
    assert "python -m beam_jobs.fetch sports --from_file FILE" in error


def test_refusal_of_the_server_is_passed_on(served, capsys):
    assert main(["toys", "--url", served.url("none.gz")]) == 1
    assert "must be answered by 200 or 206. Received: 404 Not Found" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("argv", [[], ["nothing"], ["toys", "--sha256", "12"]])
def test_wrong_command_lines(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2


def test_list_names_every_log(capsys):
    assert main(["--list", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert set(entries) == set(CATALOGUE)
    assert {"beauty", "sports", "toys", "ml-1m", "ml-100k"} <= set(entries)
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(entries)


@pytest.mark.parametrize("name", CATALOGUE)
def test_flags_are_the_data_jobs(name):
    published = CATALOGUE[name]
    given = ["--input", "log", *published.flags, "--output", "data"]
    assert parse_prepare(given).format in ("amazon", "movielens", "csv")
    assert published.url.startswith("https://")


def test_printed_command_makes_a_dataset(tmp_path):
    zipped(tmp_path / "mine.zip", {"ml-100k/u.data": RATINGS, "ml-100k/README": "-"})
    digest = hashlib.sha256((tmp_path / "mine.zip").read_bytes()).hexdigest()
    flags = ["--from_file", "mine.zip", "--sha256", digest, "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    fetched = subprocess.run(
        [sys.executable, "-m", "beam_jobs.fetch", "ml-100k", *flags],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    command = [sys.executable, *shlex.split(fetched.stdout)[1:]]
    subprocess.run(command, check=True, timeout=300, env=environment)
    manifest = json.loads((tmp_path / "data/ml-100k/MANIFEST.json").read_text())
    counts = manifest["counts"]
    assert (counts["users"], counts["items"], counts["actions"]) == (9, 7, 63)
