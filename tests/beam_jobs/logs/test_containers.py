import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile

import pytest

from beam_jobs.logs.containers import find_container
from beam_jobs.logs.files import InputError


def pack(content):
    # A test is named by its content, which must not hold the time.
    return gzip.compress(content, mtime=0)


TEXT = "user,item,time\nu1,i1,1600000000\nu2,i1,1600000001\n"


def zipped(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), TEXT)
    return stream.getvalue()


def tarred():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("log.csv")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT.encode()))
    return stream.getvalue()


def container(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content)
    return find_container(str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ("plain", "\n")),
        (TEXT.encode(), ("plain", "\n")),
        (TEXT.replace("\n", "\r\n").encode(), ("plain", "\n")),
        (TEXT.replace("\n", "\r").encode(), ("plain", "\r")),
        (pack(TEXT.replace("\n", "\r").encode()), ("gzip", "\r")),
        (b"\xef\xbb\xbf" + TEXT.encode(), ("plain", "\n")),
        (b"a,b\rc\n" + TEXT.encode(), ("plain", "\n")),
        (b"PAR1", ("parquet", "\n")),
    ],
)
def test_the_container_is_told_by_content(tmp_path, content, expected):
    assert container(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            zipped("ml/u.data"),
            r"is a zip archive: .*`unzip -p \S+log ml/u.data > u.data`",
        ),
        (zipped("[Content_Types].xml"), "is an Excel workbook: save it as CSV"),
        (b"PK\x05\x06" + bytes(18), "is a zip archive without files"),
        (random.Random(1).randbytes(5000), "is no text: "),
        (bz2.compress(TEXT.encode()), "is a bzip2 file: unpack it by `bunzip2 -k "),
        (lzma.compress(TEXT.encode()), "is an xz file: unpack it by `unxz -k "),
        (tarred(), "is a tar archive: unpack it by `tar -xf "),
        (pack(tarred()), "is a tar archive: unpack it by `tar -xf "),
        (
            pack(pack(b"a")),
            "is gzip within gzip: .*`gunzip -c ",
        ),
        (TEXT.encode("utf-16"), r"is UTF-16; .*`iconv -f UTF-16 -t UTF-8 \S+log > "),
        (TEXT.encode("utf-16-le"), "is UTF-16LE; logs must be UTF-8"),
        (TEXT.encode("utf-16-be"), "is UTF-16BE; logs must be UTF-8"),
        (TEXT.encode("utf-32"), "is UTF-32; logs must be UTF-8"),
        (
            pack(TEXT.encode("utf-16")),
            r"`gunzip -c \S+ \| iconv -f UTF-16 ",
        ),
        (b"SQLite format 3\x00", "is an SQLite database, no log"),
        (b"<!DOCTYPE html><html>", "is HTML or XML, no log"),
        (bytes(range(256)) * 9 + bytes(99), "is no text: 333 of its first 2403 bytes"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        container(tmp_path, content)
