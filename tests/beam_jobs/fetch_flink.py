"""Fetches Apache Flink and Beam's job server for it: what `make test-flink` needs."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "flink"

# Beam 2.72 has job servers for Flink 1.17 to 1.20.
FLINK_LINE, FLINK_VERSION, BEAM_VERSION = "1.19", "1.19.3", "2.72.0"
FLINK = f"apache-flink-libraries=={FLINK_VERSION}"
JOB_SERVER = f"beam-runners-flink-{FLINK_LINE}-job-server"
JAR_VARIABLE = "BEAM_FLINK_JOB_SERVER_JAR"

LIBRARIES = CACHE / f"flink-{FLINK_VERSION}"


def job_server_jar():
    """Where Beam's job server lies, once it is there."""
    named = os.environ.get(JAR_VARIABLE)
    return Path(named) if named else CACHE / f"{JOB_SERVER}-{BEAM_VERSION}.jar"


def fetch_flink():
    """Flink's jars, from PyPI, which has them for PyFlink."""
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        run([*pip, "--no-binary=:all:", "--dest", name, FLINK], FLINK)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as members:
            members.extractall(folder, filter="data")
        (libraries,) = folder.glob("*/deps/lib")
        libraries.rename(LIBRARIES)


def fetch_job_server():
    """Beam's job server, from Maven Central."""
    artifact = f"org.apache.beam:{JOB_SERVER}:{BEAM_VERSION}"
    maven = ["mvn", "--batch-mode", "--quiet", "dependency:copy"]
    run([*maven, f"-Dartifact={artifact}", f"-DoutputDirectory={CACHE}"], artifact)


def run(command, what):
    done = subprocess.run(command, text=True, capture_output=True, cwd=ROOT)
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}".strip().splitlines()
        reason = next((line for line in said if "ERROR" in line), said[-1:] or "")
        sys.exit(
            f"{what} could not be fetched: {reason}\n(the job server's jar, obtained "
            f"elsewhere, may be named by {JAR_VARIABLE})"
        )


def check(program, package):
    if shutil.which(program) is None:
        sys.exit(f"`{program}` is not on PATH: apt install {package}")


def main():
    CACHE.mkdir(parents=True, exist_ok=True)
    check("java", "openjdk-17-jre-headless")
    if not LIBRARIES.is_dir():
        fetch_flink()
    if not job_server_jar().is_file():
        if JAR_VARIABLE in os.environ:
            sys.exit(f"{JAR_VARIABLE} must name a jar. Received: {job_server_jar()}")
        check("mvn", "maven")
        fetch_job_server()
    print(f"Flink {FLINK_VERSION}: {LIBRARIES}\njob server: {job_server_jar()}")


if __name__ == "__main__":
    main()
