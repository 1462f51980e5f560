"""The compiled messages are what the compiler makes of the .proto files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PROTOS = re.search(r"^PROTOS := (.*)$", MAKEFILE, re.M)[1].split()


def test_make_compiles_every_file():
    found = {
        str(path.relative_to(ROOT))
        for folder in ("serving", "benchmarks")
        for path in (ROOT / folder).rglob("*.proto")
    }
    assert set(PROTOS) == found


@pytest.mark.parametrize("proto", PROTOS)
def test_compiled_modules_are_those_of_the_proto(proto, tmp_path):
    out = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", *out, proto]
    subprocess.run(command, cwd=ROOT, check=True)
    for ending in ("_pb2.py", "_pb2.pyi"):
        name = proto.removesuffix(".proto") + ending
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()
