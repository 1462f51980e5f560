import dataclasses
import json

import numpy as np
import pytest

from benchmarks.small_datasets import write_dataset
from s4rec_tf import arrays, spec
from s4rec_tf.data import array_file, records
from s4rec_tf.data.sequences import Sequences

ROWS = [[1, 2, 3, 4], [2, 3, 1], [4, 4], [3, 1, 2, 2, 5]]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    dataset = spec.DatasetDir(write_dataset(folder / "dataset", ROWS, 5))
    output = folder / "dataset.npz"
    assert arrays.main([str(dataset.root), str(output)]) == 0
    return dataset, output


def test_the_file_holds_what_the_folder_does(written):
    dataset, output = written
    found = array_file.read_arrays(output)
    assert found.info == dataset.info()
    assert found.fingerprint() == dataset.fingerprint()
    assert found.item_counts.tolist() == [3, 4, 3, 3, 1]
    assert set(found.splits) == set(spec.SPLITS)
    for split, sequences in found.splits.items():
        there = records.read_split(dataset, split)
        for field in dataclasses.fields(Sequences):
            ours, theirs = (getattr(s, field.name) for s in (sequences, there))
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    assert found.splits["test"].items(0).tolist() == [1, 2, 3]
    assert found.splits["test"].target_ids.tolist() == [4, 1, 5]


def test_user_ids_survive_whole(written, tmp_path):
    found = array_file.read_arrays(written[1])
    train = found.splits["train"]
    user_ids = np.array([b"", b"a\x00", b"b" * 40, "ö".encode()], object)
    splits = {**found.splits, "train": dataclasses.replace(train, user_ids=user_ids)}
    path = tmp_path / "again.npz"
    array_file.write_arrays(path, dataclasses.replace(found, splits=splits))
    again = array_file.read_arrays(path)
    assert again.splits["train"].user_ids.tolist() == user_ids.tolist()


def changed(name, value):
    return lambda arrays: {**arrays, name: value}


INFO = json.dumps(
    dataclasses.asdict(
        spec.DatasetInfo(4, 5, 14, 1, 0.2, 5, 1, {"train": 9, "valid": 3, "test": 3})
    )
)


@pytest.mark.parametrize(
    "change, said",
    [
        (changed("format_version", 7), "`format_version` must be 1. Received: 7"),
        (lambda a: {k: a[k] for k in a if k != "fingerprint"}, "`fingerprint`"),
        (changed("info", "{}"), "`info` must be JSON of a DatasetInfo"),
        (changed("info", INFO), "`train/offsets` must be of 9 users. Received: 4"),
        (changed("item_counts", np.ones(4, int)), "each of 5 items. Received: 4"),
        (changed("item_counts", np.ones(5)), "Received: float64"),
        (
            changed("valid/target_ids", np.array([0, 1, 2], np.int32)),
            r"`valid/target_ids` must lie in \[1, 5\]. Received: 0",
        ),
        (
            lambda a: {**a, "test/values": np.full_like(a["test/values"], 6)},
            r"`test/values` must lie in \[1, 5\]. Received: 6",
        ),
        (
            lambda a: {**a, "test/offsets": a["test/offsets"] + 1},
            r"`test/offsets` must rise from 0 to 9. Received: \[1\]",
        ),
        (
            lambda a: {**a, "train/is_head": a["train/is_head"][:-1]},
            "`train/is_head` must be of 4 users. Received: 3",
        ),
        (
            lambda a: {**a, "train/user_id_offsets": np.array([0, 5, 2, 40, 40])},
            "`train/user_id_offsets` must rise",
        ),
    ],
)
def test_what_no_dataset_can_hold_is_refused(written, tmp_path, change, said):
    with np.load(written[1]) as stored:
        wrong = change(dict(stored))
    path = tmp_path / "wrong.npz"
    np.savez(path, **wrong)
    with pytest.raises(spec.DatasetError, match=said) as caught:
        array_file.read_arrays(path)
    assert str(path) in str(caught.value)


def test_pickles_are_not_loaded(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, info=np.array([{"a": 1}], object))
    with pytest.raises(spec.DatasetError, match="is damaged"):
        array_file.read_arrays(path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "npy", "missing"])
def test_a_damaged_file_is_named(written, tmp_path, damage):
    path = tmp_path / "damaged.npz"
    content = bytearray(written[1].read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = content.index(b"train/values.npy") + 40
        content[middle] ^= 0xFF
        path.write_bytes(content)
    elif damage == "text":
        path.write_text("no arrays")
    elif damage == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.arange(3))
    with pytest.raises(spec.DatasetError, match=r"damaged\.npz"):
        array_file.read_arrays(path)


def test_a_failed_write_leaves_what_was_there(written, tmp_path, monkeypatch):
    path = tmp_path / "kept.npz"
    path.write_text("before")

    def fail(*_, **__):
        raise OSError("disk is full")

    monkeypatch.setattr(array_file.np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk is full"):
        array_file.write_arrays(path, array_file.read_arrays(written[1]))
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.npz"]


def test_the_command_names_what_is_wrong(written, tmp_path, capsys):
    assert arrays.main([str(tmp_path / "none"), str(tmp_path / "x.npz")]) == 1
    assert f"dataset folder {tmp_path / 'none'} does not exist" in (
        capsys.readouterr().err
    )
    place = tmp_path / "no_folder" / "x.npz"
    assert arrays.main([str(written[0].root), str(place)]) == 1
    assert str(tmp_path / "no_folder") in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        arrays.main([str(written[0].root), "x.npy"])
    assert caught.value.code == 2
    assert "must end in .npz. Received: x.npy" in capsys.readouterr().err
