"""Copies of run folders in object stores: what is fetched, written, and refused."""

import errno
import tempfile

import pytest

from s4rec_tf.runs import store, working_copy
from s4rec_tf.runs.store import Store, StoreError
from tests import object_stores

LAST, BEFORE = "checkpoints/last.npz", "checkpoints/before_last.npz"
MANIFEST = "MANIFEST.json"


@pytest.fixture(scope="module", params=["s3", "gs"])
def server(request):
    store._client.cache_clear()
    with (
        object_stores.SERVERS[request.param]("shop") as variables,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in variables.items():
            patch.setenv(name, value)
        yield f"{request.param}://shop"
    store._client.cache_clear()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that moves to another machine: a folder for its copies."""

    def move(name):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))

    move("first")
    return move


@pytest.fixture
def folder(tmp_path):
    with object_stores.folder_as_store(tmp_path / "store"):
        yield tmp_path / "store" / "shop" / "run"


URL = "s3://shop/run"


def write(root, **files):
    """Writes files by replacing them; of a name, two underscores are a slash."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.replace(path)


def write_state(root, text):
    """A newest state, and the one before, as a training writes them."""
    if (root / LAST).exists():
        (root / LAST).replace(root / BEFORE)
    write(root, **{LAST: text})


def texts(root):
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


class Ended(Exception):
    """The end of a process, which leaves its copy as it is."""


def test_run_comes_back_from_a_server(server, machine):
    url = f"{server}/deep/run"
    with working_copy.opened_to_train(url) as root:
        assert texts(root) == {}
        write(root, **{"config.json": "{}", MANIFEST: "begun", "metrics.jsonl": "1\n"})
        for state in ("one", "two", "three"):
            write_state(root, state)
            working_copy.publish(root)
        written = texts(root)
    assert written[LAST] == "three" and written[BEFORE] == "two"
    assert Store(url).names() == sorted(written)
    assert not root.exists()
    machine("second")
    with working_copy.opened_to_train(url) as root:
        assert texts(root) == written
    with working_copy.opened(url) as root:
        assert texts(root) == {n: t for n, t in written.items() if "last" not in n}
        write(root, **{"evaluation/test.json": "[]"})
        working_copy.publish(root)
    with working_copy.opened(url, with_states=True) as root:
        assert texts(root) == {**written, "evaluation/test.json": "[]"}


def test_folder_that_a_console_has_made_is_an_empty_run(server, machine):
    url = f"{server}/made"
    client = store._client(server.partition("://")[0])
    if server.startswith("s3"):
        client.client.put_object(Bucket="shop", Key="made/", Body=b"")
    else:
        client.client.bucket("shop").blob("made/").upload_from_string(b"")
    with working_copy.opened_to_train(url) as root:
        assert texts(root) == {}


def test_missing_bucket_is_named(server, machine):
    url = server.replace("shop", "none") + "/run"
    with pytest.raises(StoreError, match=r"none/run.*(NoSuchBucket|404|Not Found)"):
        with working_copy.opened_to_train(url) as root:
            write(root, **{MANIFEST: "begun"})
            working_copy.publish(root)


@pytest.fixture
def calls(monkeypatch):
    """Names of the objects that are written from now on, with how."""
    found = []

    def noting(how, function):
        def noted(self, one, other):
            found.append((how, other))
            function(self, one, other)

        return noted

    for how in ("put", "copy"):
        monkeypatch.setattr(Store, how, noting(how, getattr(Store, how)))
    return found


def test_state_is_written_last_but_for_the_manifest(folder, machine, calls):
    with working_copy.opened_to_train(URL) as root:
        write(root, **{MANIFEST: "begun", "config.json": "{}", ".lock": ""})
        write_state(root, "one")
        write(root, **{"checkpoints/best.npz": "b", "metrics.jsonl": "1\n"})
        working_copy.publish(root)
        names = ["config.json", "metrics.jsonl", "checkpoints/best.npz", LAST, MANIFEST]
        assert calls == [("put", name) for name in names]
        calls.clear()
        working_copy.publish(root)
        assert calls == []
        write_state(root, "two")
        write(root, **{"metrics.jsonl": "1\n2\n"})
        working_copy.publish(root)
    assert calls == [("put", "metrics.jsonl"), ("copy", BEFORE), ("put", LAST)]
    assert texts(folder) == {
        **{"config.json": "{}", MANIFEST: "begun", "metrics.jsonl": "1\n2\n"},
        **{"checkpoints/best.npz": "b", BEFORE: "one", LAST: "two"},
    }


def test_copy_goes_on_if_the_store_still_holds_its_beginning(
    folder, machine, monkeypatch
):
    with pytest.raises(StoreError, match=r"All of the run is in .*the store is back"):
        with working_copy.opened_to_train(URL) as root:
            write(root, **{MANIFEST: "begun"})
            write_state(root, "one")
            working_copy.publish(root)
            write_state(root, "two")
            with monkeypatch.context() as patch:
                patch.setattr(store.Store, "copy", away)
                working_copy.publish(root)
    assert texts(folder)[LAST] == "one"
    with pytest.raises(Ended), working_copy.opened_to_train(URL) as again:
        assert again == root and texts(root)[LAST] == "two"
        working_copy.publish(root)
        raise Ended
    assert texts(folder)[LAST] == "two" and texts(folder)[BEFORE] == "one"
    machine("second")
    with working_copy.opened_to_train(URL) as other:
        write_state(other, "three")
        working_copy.publish(other)
    machine("first")
    with working_copy.opened_to_train(URL) as root:
        assert texts(root)[LAST] == "three"


def away(*_):
    raise StoreError("s3://shop: no answer")


def test_run_that_was_deleted_in_the_store_begins_anew(folder, machine):
    with pytest.raises(Ended), working_copy.opened_to_train(URL) as root:
        write(root, **{MANIFEST: "begun"})
        working_copy.publish(root)
        raise Ended
    (folder / MANIFEST).unlink()
    with working_copy.opened_to_train(URL) as root:
        assert texts(root) == {}


def test_two_trainings_are_found(folder, machine):
    with pytest.raises(working_copy.OtherTraining, match="must be the state that"):
        with working_copy.opened_to_train(URL) as here:
            with pytest.raises(StoreError, match="another process trains in s3://shop"):
                with working_copy.opened_to_train(URL):
                    pass
            machine("second")
            with working_copy.opened_to_train(URL) as there:
                write_state(here, "here")
                working_copy.publish(here)
                write_state(there, "there")
                working_copy.publish(there)
    assert texts(folder)[LAST] == "here"


def test_broken_fetch_leaves_no_copy(folder, machine, monkeypatch):
    write(folder, **{MANIFEST: "begun", "metrics.jsonl": "1\n"})
    fetch = Store.fetch

    def breaks(self, name, file):
        if name == "metrics.jsonl":
            raise Ended
        fetch(self, name, file)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "fetch", breaks)
        with pytest.raises(Ended), working_copy.opened_to_train(URL):
            pass
    with working_copy.opened_to_train(URL) as root:
        assert texts(root) == {MANIFEST: "begun", "metrics.jsonl": "1\n"}


def test_what_cannot_be_read_is_named(folder, machine):
    with pytest.raises(StoreError, match="s3://shop/run holds no run"):
        with working_copy.opened(URL):
            pass
    with pytest.raises(StoreError, match="Received: 'ftp://host/run'"):
        Store("ftp://host/run")


def test_refusal_is_told_from_absence(folder, monkeypatch):
    def refuses(*_, **__):
        raise RuntimeError("An error occurred (AccessDenied) when calling PutObject")

    path = type(store._client("s3").CloudPath("s3://shop"))
    monkeypatch.setattr(path, "upload_from", refuses)
    with pytest.raises(StoreError, match="AccessDenied") as raised:
        Store(URL).put(folder, "config.json")
    assert raised.value.errno == errno.EACCES
    assert Store(URL).etag("config.json") is None
