"""Fetches Prometheus' promtool from Debian: what `make test-promtool` needs."""

import tempfile
from pathlib import Path

from tests.beam_jobs.fetching import CACHE, check, run

PROMTOOL = CACHE / "promtool" / "promtool"


def main():
    check("apt-get", "apt")
    if not PROMTOOL.is_file():
        PROMTOOL.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PROMTOOL.parent) as name:
            folder = Path(name)
            what = "prometheus (after `apt-get update`)"
            run(["apt-get", "download", "prometheus"], what, cwd=folder)
            (package,) = folder.glob("*.deb")
            run(["dpkg-deb", "-x", package, folder], package.name)
            (folder / "usr/bin/promtool").rename(PROMTOOL)
    print(f"promtool: {PROMTOOL}")


if __name__ == "__main__":
    main()
