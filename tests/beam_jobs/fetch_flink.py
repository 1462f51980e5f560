"""Fetches Apache Flink and Beam's job server for it: what `make test-flink` needs."""

import sys
import tarfile
import tempfile
from pathlib import Path

from fetching import CACHE, check, copy_jars, run

FLINK_VERSION = "1.19.3"
FLINK = f"apache-flink-libraries=={FLINK_VERSION}"
PARTS = Path(__file__).with_name("flink_job_server.xml")

LIBRARIES = CACHE / "flink" / f"flink-{FLINK_VERSION}"
JOB_SERVER = CACHE / "flink" / "job-server"


def fetch_flink(folder):
    """Flink's jars, from PyPI, which has them for PyFlink."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    run([*pip, "--no-binary=:all:", "--dest", str(folder), FLINK], FLINK)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")
    (libraries,) = folder.glob("*/deps/lib")
    libraries.rename(LIBRARIES)


def main():
    LIBRARIES.parent.mkdir(parents=True, exist_ok=True)
    check("java", "openjdk-17-jre-headless")
    with tempfile.TemporaryDirectory(dir=LIBRARIES.parent) as name:
        if not LIBRARIES.is_dir():
            fetch_flink(Path(name))
        copy_jars(PARTS, Path(name), JOB_SERVER)
    print(f"Flink {FLINK_VERSION}: {LIBRARIES}\njob server: {JOB_SERVER}")


if __name__ == "__main__":
    main()
