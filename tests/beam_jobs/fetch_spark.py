"""Fetches Apache Spark and Beam's job server for it: what `make test-spark` needs."""

import tempfile
from pathlib import Path

from fetching import CACHE, check, copy_jars

PARTS = Path(__file__).with_name("spark_job_server.xml")
JARS = CACHE / "spark" / "jars"


def main():
    JARS.parent.mkdir(parents=True, exist_ok=True)
    check("java", "openjdk-17-jre-headless")
    with tempfile.TemporaryDirectory(dir=JARS.parent) as name:
        copy_jars(PARTS, Path(name), JARS)
    print(f"Spark and its job server: {JARS}")


if __name__ == "__main__":
    main()
