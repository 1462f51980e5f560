"""Users are gone from old datasets, runs and exports, as their bytes show."""

import gzip
import hashlib
import io
import shutil
import zipfile

import numpy as np
import pytest

from beam_jobs.storage.files import as_path, new_file
from beam_jobs.storage.remote_path import RemotePath
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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Monday's chain and, without the user, Tuesday's, whose version is number 2."""
    root = tmp_path_factory.mktemp("built") / "shop"
    sequences = small_datasets.markov_sequences(8, NUM_ITEMS, seed=3)
    chain(root, "monday", sequences, 1)
    chain(root, "tuesday", sequences[:7], 2)
    return root


@pytest.fixture
def root(built, tmp_path):
    """A copy of Monday's, and the list of the user to erase."""
    root = tmp_path / "shop"
    shutil.copytree(built, root)
    for pattern in ("*/tuesday", "models/shop/2", "models/shop/.meta/2"):
        for path in root.glob(pattern):
            shutil.rmtree(path)
    (tmp_path / "users").write_text(f"{USER}\n")
    return root


def holds_bytes(path):
    """Whether a file holds the id or its digest; every archive by its own library."""
    forms = (USER.encode(), hashlib.blake2b(USER.encode(), digest_size=8).digest())
    data = path.read_bytes()
    parts = [data]
    if data[:2] == b"\x1f\x8b":
        parts.append(gzip.decompress(data))
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    return any(form in part for form in forms for part in parts)


def holding(root):
    files = [path for path in root.rglob("*") if path.is_file()]
    return {p.relative_to(root).parts[0] for p in files if holds_bytes(p)}


def test_no_byte_of_a_user_is_left_in_datasets_runs_and_exports(built, root, capsys):
    argv = ["--users", str(root.parent / "users"), str(root), "--remove"]
    assert holding(root) == {"data", "runs", "models"}
    # The newest version may be in service: nothing goes before there is another.
    assert command.main(argv) == 1
    assert "is the newest version" in capsys.readouterr().err
    assert holding(root) == {"data", "runs", "models"}
    shutil.copytree(built, root, dirs_exist_ok=True)
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


def test_a_removal_that_is_stopped_goes_on(built, tmp_path, capsys, monkeypatch):
    """Datasets go last, so that the runs and versions made of them are still known."""
    root = tmp_path / "shop"
    shutil.copytree(built, root)
    (tmp_path / "users").write_text(f"{USER}\n")
    argv = ["--users", str(tmp_path / "users"), str(root), "--remove"]
    removed, remove = [], shutil.rmtree

    def stop(folder):
        if removed:
            raise OSError("stopped")
        remove(folder)
        removed.append(folder)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", stop)
        assert command.main(argv) == 1
    assert command.main(argv) == 0
    assert holding(root) == set()
    left = {path.relative_to(root).as_posix() for path in root.glob("*/*")}
    assert left == {"data/tuesday", "runs/tuesday", "models/shop"}


@pytest.mark.parametrize(
    "store", ["gcs", pytest.param("s3", marks=pytest.mark.slow)], indirect=True
)
def test_no_byte_is_left_in_an_object_store(built, tmp_path, store, capsys):
    (tmp_path / "users").write_text(f"{USER}\n")
    files = [path for path in built.rglob("*") if path.is_file()]
    for path in files:
        name = f"{store.url}/shop/{path.relative_to(built).as_posix()}"
        with new_file(as_path(name)) as stream:
            stream.write(path.read_bytes())
    objects = RemotePath(f"{store.url}/shop")
    holding = {p.relative_to(objects).as_posix() for p in there(objects)}
    assert {name.split("/")[0] for name in holding} == {"data", "runs", "models"}
    argv = ["--users", str(tmp_path / "users"), f"{store.url}/shop", *store.flags]
    assert command.main(argv) == 1
    assert f"holds an id: {store.url}/shop/data/monday/" in capsys.readouterr().out
    assert len(list(objects.rglob("*"))) == len(files)
    assert command.main([*argv, "--remove"]) == 0
    assert there(objects) == []
    left = {p.relative_to(objects).as_posix() for p in objects.rglob("*")}
    whole = {path.relative_to(built).as_posix() for path in files}
    gone = ("data/monday/", "runs/monday/", "models/shop/1/", "models/shop/.meta/1/")
    assert left == {name for name in whole if not name.startswith(gone)}


def there(objects):
    return [path for path in objects.rglob("*") if holds_bytes(path)]


def test_a_removal_in_a_store_that_was_stopped_goes_on(tmp_path, store):
    (tmp_path / "users").write_text("somebody\n")
    for name in ("half/train/part", "half/.erased-", "other/file"):
        with new_file(as_path(f"{store.url}/shop/{name}")) as stream:
            stream.write(b"somebody" if name.startswith("half/t") else b"x")
    argv = ["--users", str(tmp_path / "users"), f"{store.url}/shop", *store.flags]
    assert command.main(argv) == 0
    left = [str(path) for path in RemotePath(f"{store.url}/shop").rglob("*")]
    assert left == [f"{store.url}/shop/other/file"]


def test_a_flag_that_nobody_knows_is_refused(tmp_path, capsys):
    (tmp_path / "users").write_text("somebody\n")
    users = ["--users", str(tmp_path / "users")]
    with pytest.raises(SystemExit, match="2"):
        command.main([*users, str(tmp_path), "--forse"])
    assert "--forse" in capsys.readouterr().err
    assert command.main([*users, "s3://shop/data", "--forse=1"]) == 2
    assert "--forse=1" in capsys.readouterr().err


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
