"""Files that are replaced whole or not at all."""

import json
import os

import pytest

from s4rec_tf import atomic_files


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        atomic_files.write_bytes(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        with atomic_files.replaced(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_changes_only_after_the_bytes_are_on_the_disk(tmp_path, monkeypatch):
    path, calls = tmp_path / "file", []
    path.write_bytes(b"old")
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        calls.append(("fsync", os.fstat(descriptor).st_size, path.read_bytes()))
        fsync(descriptor)

    def renamed(source, target):
        calls.append(("replace", os.path.getsize(source), path.read_bytes()))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    atomic_files.write_bytes(path, b"longer")
    assert calls == [("fsync", 6, b"old"), ("replace", 6, b"old")]
    assert path.read_bytes() == b"longer"


def test_json_ends_with_a_line_feed(tmp_path):
    atomic_files.write_json(tmp_path / "file", {"a": [1, None]})
    text = (tmp_path / "file").read_text("utf-8")
    assert json.loads(text) == {"a": [1, None]}
    assert text.endswith("}\n")
