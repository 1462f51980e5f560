"""Fetches Apache Flink and Beam's job server for it: what `make test-flink` needs."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "flink"

FLINK_VERSION = "1.19.3"
FLINK = f"apache-flink-libraries=={FLINK_VERSION}"
PARTS = Path(__file__).with_name("flink_job_server.xml")

LIBRARIES = CACHE / f"flink-{FLINK_VERSION}"
JOB_SERVER = CACHE / "job-server"


def fetch_flink(folder):
    """Flink's jars, from PyPI, which has them for PyFlink."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    run([*pip, "--no-binary=:all:", "--dest", str(folder), FLINK], FLINK)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")
    (libraries,) = folder.glob("*/deps/lib")
    libraries.rename(LIBRARIES)


def fetch_job_server(folder):
    """Beam's job server and all that it needs, from Maven Central."""
    command = ["mvn", "--batch-mode", f"--file={PARTS}", "dependency:copy-dependencies"]
    jars = folder / "jars"
    run([*command, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"], PARTS.name)
    # What it was made from lies with it: another list is another server.
    shutil.copy(PARTS, jars)
    shutil.rmtree(JOB_SERVER, ignore_errors=True)
    jars.rename(JOB_SERVER)


def job_server_is_current():
    copied = JOB_SERVER / PARTS.name
    return copied.is_file() and copied.read_bytes() == PARTS.read_bytes()


def run(command, what):
    done = subprocess.run(command, text=True, capture_output=True, cwd=ROOT)
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}".strip().splitlines() or ["no reason given"]
        reason = next((line for line in said if "ERROR" in line), said[-1])
        sys.exit(f"{what} could not be fetched: {reason}")


def check(program, package):
    if shutil.which(program) is None:
        sys.exit(f"`{program}` is not on PATH: apt install {package}")


def main():
    CACHE.mkdir(parents=True, exist_ok=True)
    check("java", "openjdk-17-jre-headless")
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        if not LIBRARIES.is_dir():
            fetch_flink(Path(name))
        if not job_server_is_current():
            check("mvn", "maven")
            fetch_job_server(Path(name))
    print(f"Flink {FLINK_VERSION}: {LIBRARIES}\njob server: {JOB_SERVER}")


if __name__ == "__main__":
    main()
