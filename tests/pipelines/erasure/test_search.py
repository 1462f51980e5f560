"""An id is found however it lies in a file."""

import base64
import gzip
import hashlib
import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipelines.erasure.search import Needles, files_with


def tfrecord(data):
    example = tf.train.Example()
    example.features.feature["user_id"].bytes_list.value.append(data)
    return example.SerializeToString()


def zipped(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/a.txt", b"x" * 100 + data)
    return stream.getvalue()


def as_parquet(users):
    """A file whose bytes show none of the users: packed, without statistics."""
    stream = io.BytesIO()
    table = pa.table({"user": users, "item": ["soap"] * len(users)})
    pq.write_table(table, stream, compression="gzip", write_statistics=False)
    assert ID not in stream.getvalue()
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
    "parquet": as_parquet([ID.decode(), "somebody"]),
    "parquet of bytes": as_parquet([ID, None]),
    "parquet of lists": as_parquet([[], ["somebody", ID.decode()]]),
    "parquet of structures": as_parquet([{"who": {"id": ID.decode()}}]),
    "broken gzip": gzip.compress(b"abc" + ID + bytes(range(256)) * 99)[:-9],
}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
def test_an_id_is_found_however_it_lies(tmp_path, data):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(data)
    (tmp_path / "other").write_bytes(gzip.compress(ID[:-1]) + ID[1:])
    assert files_with(Needles([ID]), [tmp_path]) == [tmp_path / "deep" / "file"]
    assert files_with(Needles([b"somebody else"]), [tmp_path]) == []


@pytest.mark.parametrize(
    ("users", "raw_id"),
    [
        ([7, 123456789], b"123456789"),
        (['Zoë "the" \\', "somebody"], 'Zoë "the" \\'.encode()),
        (["somebody"] * 20_000 + ["the last"], b"the last"),
    ],
)
def test_an_id_is_found_in_any_column_of_parquet(tmp_path, users, raw_id):
    (tmp_path / "log.parquet").write_bytes(as_parquet(users))
    assert files_with(Needles([raw_id]), [tmp_path])
    assert not files_with(Needles([b"nobody at all"]), [tmp_path])


def test_damaged_parquet_is_searched_as_it_lies(tmp_path):
    (tmp_path / "log.parquet").write_bytes(b"PAR1" + ID + b"no footer")
    assert files_with(Needles([ID]), [tmp_path])
    assert not files_with(Needles([b"nobody"]), [tmp_path])


def test_an_id_across_two_pieces_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.erasure.search._CHUNK", 16)
    (tmp_path / "file").write_bytes(b"." * 40 + ID + b"." * 40)
    assert files_with(Needles([ID]), [tmp_path])
