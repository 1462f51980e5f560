import gzip
import hashlib
import json
import subprocess
import sys

import pytest

from beam_jobs import show
from beam_jobs.sinks.encoding import serialize_example, write_records

SPLITS = {
    "train": {b"B": ([2, 1], None), b"a": ([1], None), "é".encode(): ([3, 3], None)},
    "valid": {b"B": ([2, 1], 2)},
    "test": {b"B": ([2, 1, 2], 3)},
}
SHOWN = "B\ty x y z\na\tx\né\tz z\n".encode()


@pytest.fixture
def dataset(tmp_path):
    """A dataset written by hand, its users spread over two shards a split."""
    for split, users in SPLITS.items():
        (tmp_path / split).mkdir()
        for shard in range(2):
            name = f"part-{shard:05d}-of-00002.tfrecord.gz"
            with gzip.open(tmp_path / split / name, "wb") as stream:
                of_shard = sorted(users)[shard::2]
                write_records(
                    stream, (serialize(user, *users[user]) for user in of_shard)
                )
    (tmp_path / "item_vocab.txt").write_text("x\ny\nz\n")
    write_manifest(tmp_path)
    return tmp_path


def write_manifest(root):
    paths = [path for path in root.rglob("*") if path.is_file()]
    files = {
        path.relative_to(root).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in paths
    }
    manifest = {"format_version": 1, "counts": {}, "files": files}
    (root / "MANIFEST.json").write_text(json.dumps(manifest))


def serialize(user, item_ids, target):
    features = {"user_id": user, "item_ids": item_ids}
    return serialize_example(
        features if target is None else features | {"target_id": target}
    )


def run(*argv, **options):
    command = [sys.executable, "-m", "beam_jobs.show", *map(str, argv)]
    return subprocess.run(command, capture_output=True, timeout=60, **options)


def test_a_dataset_is_printed_in_raw_ids(dataset):
    done = run(dataset)
    assert (done.returncode, done.stdout, done.stderr) == (0, SHOWN, b"")


def test_a_reader_that_leaves_early_is_no_error(dataset):
    script = (
        f"{sys.executable} -m beam_jobs.show {dataset} | true; echo ${{PIPESTATUS}}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_what_is_no_finished_dataset_is_refused(dataset, capsys):
    for damage, message in (
        (lambda: (dataset / "item_vocab.txt").write_text("x\n"), "txt is damaged"),
        (lambda: (dataset / "item_vocab.txt").unlink(), "item_vocab.txt is missing"),
        (lambda: (dataset / "MANIFEST.json").unlink(), "is not a finished dataset"),
    ):
        damage()
        assert show.run([str(dataset)]) == 1
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out == ""
    assert show.run([str(dataset / "nowhere")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_a_damaged_shard_names_file_and_record(dataset, capsys):
    shard = dataset / "train" / "part-00001-of-00002.tfrecord.gz"
    content = bytearray(gzip.decompress(shard.read_bytes()))
    content[-1] ^= 1
    shard.write_bytes(gzip.compress(bytes(content)))
    (dataset / "MANIFEST.json").unlink()
    write_manifest(dataset)
    assert show.run([str(dataset)]) == 1
    message = f"{shard} is damaged at record 0: the data's checksum does not hold"
    assert message in capsys.readouterr().err
