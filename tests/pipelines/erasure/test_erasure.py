"""Users are gone from old datasets, runs and exports, as their bytes show."""

import base64
import gzip
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from pipelines.erasure import __main__ as command
from pipelines.erasure.search import Needles, files_with
from s4rec_tf import spec
from s4rec_tf.export import write
from s4rec_tf.runs import config, restore
from s4rec_tf.train.tensorflow import trainer

NUM_ITEMS = 12
USER = "user-00007"
SETTINGS = ["epochs=1", "dim=4", "batch_size=16"]


def chain(root, name, sequences, version):
    """A dataset, a run of a model with user vectors on it, and its export."""
    path = small_datasets.write_dataset(root / "data" / name, sequences, NUM_ITEMS)
    dataset = spec.DatasetDir(path)
    trainer.train(config.resolve("bpr", None, SETTINGS), dataset, root / "runs" / name)
    model, _ = restore.restore_best(root / "runs" / name, dataset)
    base, counts = root / "models" / "shop", np.arange(NUM_ITEMS)
    more = {"popularity": counts, "card": {}, "version": version}
    write.write_version(model, dataset, base, **more)


@pytest.fixture
def root(tmp_path):
    sequences = small_datasets.markov_sequences(8, NUM_ITEMS, seed=3)
    root = tmp_path / "shop"
    chain(root, "monday", sequences, 1)
    (tmp_path / "users").write_text(f"{USER}\n")
    return root


def holds_bytes(path):
    """Whether a file holds the id or its digest; every archive by its own library."""
    forms = (USER.encode(), hashlib.blake2b(USER.encode(), digest_size=8).digest())
    data = path.read_bytes()
    parts = [data]
    if data[:2] == b"\x1f\x8b":
        parts.append(gzip.decompress(data))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    return any(form in part for form in forms for part in parts)


def holding(root):
    files = [path for path in root.rglob("*") if path.is_file()]
    return {p.relative_to(root).parts[0] for p in files if holds_bytes(p)}


def test_no_byte_of_a_user_is_left_in_datasets_runs_and_exports(root, capsys):
    argv = ["--users", str(root.parent / "users"), str(root), "--remove"]
    assert holding(root) == {"data", "runs", "models"}
    # The newest version may be in service: nothing goes before there is another.
    assert command.main(argv) == 1
    assert "is the newest version" in capsys.readouterr().err
    assert holding(root) == {"data", "runs", "models"}
    sequences = small_datasets.markov_sequences(8, NUM_ITEMS, seed=3)
    chain(root, "tuesday", sequences[:7], 2)
    assert command.main(argv[:-1]) == 1
    told = capsys.readouterr().out
    for holder in ("dataset", "run", "version"):
        assert f"holds them: {holder} " in told
    assert "holds an id: " in told and holding(root) == {"data", "runs", "models"}
    assert command.main(argv) == 0
    assert holding(root) == set()
    left = {path.relative_to(root).as_posix() for path in root.glob("*/*")}
    assert left == {"data/tuesday", "runs/tuesday", "models/shop"}
    versions = {path.name for path in (root / "models/shop").iterdir()}
    assert "2" in versions and "1" not in versions
    assert not (root / "models/shop/.meta/1").exists()
    assert command.main(argv) == 0  # again: nothing is left to do


def tfrecord(data):
    example = tf.train.Example()
    example.features.feature["user_id"].bytes_list.value.append(data)
    return example.SerializeToString()


def zipped(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/a.txt", b"x" * 100 + data)
    return stream.getvalue()


ID = "Zoë/7 of the shop".encode()
PACKED = {
    "plain": b"a line of " + ID,
    "gzip": gzip.compress(b"abc" * 50 + ID),
    "members": gzip.compress(b"first") + gzip.compress(ID),
    "record": gzip.compress(tfrecord(ID)),
    "zip": zipped(ID),
    "json": json.dumps({"user": ID.decode()}).encode(),
    **{
        f"base64 {n}": b"data:," + base64.b64encode(b"x" * n + ID + b"more")
        for n in range(3)
    },
    "digest": b"abc" + hashlib.blake2b(ID, digest_size=8).digest(),
    "broken gzip": gzip.compress(b"abc" + ID + bytes(range(256)) * 99)[:-9],
}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
def test_an_id_is_found_however_it_lies(tmp_path, data):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(data)
    (tmp_path / "other").write_bytes(gzip.compress(ID[:-1]) + ID[1:])
    assert files_with(Needles([ID]), [tmp_path]) == [tmp_path / "deep" / "file"]
    assert files_with(Needles([b"somebody else"]), [tmp_path]) == []


def test_an_id_across_two_pieces_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.erasure.search._CHUNK", 16)
    (tmp_path / "file").write_bytes(b"." * 40 + ID + b"." * 40)
    assert files_with(Needles([ID]), [tmp_path])


def test_other_files_are_named_and_left(tmp_path, capsys):
    (tmp_path / "users").write_text("somebody\n")
    (tmp_path / "log.txt").write_text("somebody bought soap\n")
    argv = ["--users", str(tmp_path / "users"), str(tmp_path), "--remove"]
    assert command.main(argv) == 1
    assert capsys.readouterr().out == f"holds an id: {tmp_path / 'log.txt'}\n"
    assert (tmp_path / "log.txt").exists()


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_list_without_users_is_refused(tmp_path, capsys, text):
    (tmp_path / "users").write_text(text)
    assert command.main(["--users", str(tmp_path / "users"), str(tmp_path)]) == 1
    assert "must hold a user id a line" in capsys.readouterr().err


@pytest.mark.slow
def test_a_dataset_made_by_the_job_holds_no_byte_of_whom_it_erased(tmp_path):
    """With TFDV's statistics, the page of them, and the records that were bad."""
    from beam_jobs import prepare_dataset

    generator, whom = np.random.default_rng(0), "quite-a-user"
    users = [whom, *(f"other-{n}" for n in range(40))]
    lines = [
        f"{user}\titem-{item}\t{1_500_000_000 + n}\n"
        for n, user in enumerate(users * 8)
        for item in generator.integers(0, 12, 1)
    ]
    log = tmp_path / "log.tsv"
    log.write_text("user\titem\ttime\n" + "".join(lines))
    (tmp_path / "users").write_text(f"{whom}\n")
    data = tmp_path / "data"
    made = ["--input", str(log), "--output", str(data / "old"), "--k_core", "2"]
    made += ["--columns", "user=user,item=item,time=time", "--quiet"]
    assert prepare_dataset.run(made) == 0
    argv = ["--users", str(tmp_path / "users"), str(data), "--remove"]
    later = ["--previous", str(data / "old"), "--output", str(data / "new")]
    later += ["--erase_users", str(tmp_path / "users"), "--k_core", "2", "--quiet"]
    assert prepare_dataset.run([*later, "--allow", "drift"]) == 0
    needles = Needles([whom.encode()])
    assert files_with(needles, [data / "old"])
    assert not files_with(needles, [data / "new"])
    assert command.main(argv) == 0
    assert [path.name for path in data.iterdir()] == ["new"]
