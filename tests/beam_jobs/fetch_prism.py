"""Builds Prism, Beam's own runner in Go: what `make test-prism` needs."""

import os

from fetching import CACHE, check, run

MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
VERSION = "v2.73.0"
PRISM = CACHE / "prism" / VERSION / "prism"


def main():
    check("go", "golang-go")
    if not PRISM.is_file():
        environment = os.environ | {"GOBIN": str(PRISM.parent)}
        run(["go", "install", f"{MODULE}@{VERSION}"], MODULE, env=environment)
    print(f"Prism {VERSION}: {PRISM}")


if __name__ == "__main__":
    main()
