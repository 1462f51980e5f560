import hashlib
import json
import multiprocessing

import pytest

from beam_jobs.dataset.publish import (
    OutputError,
    building,
    check_output,
    keep_bad_records,
    publish,
    write_manifest,
)
from beam_jobs.storage.digests import write_whole
from s4rec_tf.spec import DatasetDir, DatasetError


def fill(root, content="one\n"):
    (root / "train").mkdir()
    (root / "train" / ".part-0.of-a-lost-worker").write_text("half")
    files = [
        write_whole(str(root), "train/part-0", content.encode())._replace(examples=7),
        write_whole(str(root), "item_vocab.txt", content.encode()),
    ]
    write_manifest(root, {"users": 1}, files)


def test_a_folder_appears_whole_with_its_manifest(tmp_path):
    output = tmp_path / "deep" / "out"
    with building(output) as place:
        fill(place.dataset)
        assert not output.exists()
        publish(place)
    manifest = json.loads((output / "MANIFEST.json").read_text())
    assert manifest["format_version"] == 1
    assert manifest["counts"] == {"users": 1}
    sha256 = hashlib.sha256(b"one\n").hexdigest()
    assert manifest["files"] == {
        "train/part-0": {"sha256": sha256, "bytes": 4, "examples": 7},
        "item_vocab.txt": {"sha256": sha256, "bytes": 4},
    }
    DatasetDir(output).verify()
    assert [path.name for path in (output / "train").iterdir()] == ["part-0"]
    assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), building(tmp_path / "out") as place:
        fill(place.dataset)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_finished_dataset_is_never_replaced(tmp_path):
    (tmp_path / "MANIFEST.json").touch()
    with pytest.raises(OutputError, match="is a finished dataset already"):
        check_output(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "train", "MANIFEST.json.bak"])
def test_a_foreign_folder_is_never_touched(tmp_path, name):
    output = tmp_path / "out"
    output.mkdir()
    (output / name).write_text("mine")
    with pytest.raises(OutputError, match=f"it holds {name}"), building(output):
        pass
    assert (output / name).read_text() == "mine"
    assert list(tmp_path.iterdir()) == [output]


def test_a_file_or_link_is_no_output(tmp_path):
    file = tmp_path / "file"
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for path in (file, link):
        with pytest.raises(OutputError, match="exists and is no folder"):
            check_output(path)


@pytest.mark.parametrize("leftover", [(), ("item_vocab.txt", "train")])
def test_an_unfinished_leftover_is_replaced(tmp_path, leftover):
    output = tmp_path / "out"
    output.mkdir()
    for name in leftover:
        (output / name).touch()
    with building(output) as place:
        fill(place.dataset)
        publish(place)
    DatasetDir(output).verify()
    assert list(tmp_path.iterdir()) == [output]


def test_what_a_killed_job_left_beside_is_removed(tmp_path):
    output = tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(
        target=_die_in, args=(output,)
    )
    process.start()
    process.join()
    foreign = tmp_path / "out.tmp-mine"
    foreign.mkdir()
    assert len(list(tmp_path.glob("out.tmp-*"))) == 2
    with building(output):
        pass
    assert list(tmp_path.iterdir()) == [foreign]


def _die_in(output):
    import os

    with building(output) as place:
        fill(place.dataset)
        os._exit(9)


def test_two_writers_are_kept_apart(tmp_path):
    output = tmp_path / "out"
    with building(output) as place:
        with (
            pytest.raises(OutputError, match="is being written by another process"),
            building(output),
        ):
            pass
        with building(tmp_path / "other"):
            pass
        fill(place.dataset)
        publish(place)
    DatasetDir(output).verify()
    assert list(tmp_path.iterdir()) == [output]


def test_bad_records_outlive_the_job_that_failed(tmp_path):
    for content in ("first", "second"):
        with building(tmp_path / "out") as place:
            folder = place.dataset / "bad_records"
            folder.mkdir()
            (folder / "part-00000.jsonl").write_text(content)
            kept = keep_bad_records(place)
    assert kept == tmp_path / "out.bad_records"
    assert (kept / "part-00000.jsonl").read_text() == "second"
    assert list(tmp_path.iterdir()) == [kept]


def test_damage_is_found(tmp_path):
    with building(tmp_path / "out") as place:
        fill(place.dataset)
        publish(place)
    (tmp_path / "out" / "item_vocab.txt").write_text("two\n")
    with pytest.raises(DatasetError, match=r"item_vocab\.txt is damaged"):
        DatasetDir(tmp_path / "out").verify()
