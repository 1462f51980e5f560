"""The tutorial's commands, one after the other, in an empty folder."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
SERVER = "python -m serving.server"


def environment():
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


def shell(folder, block, ports):
    """Runs a block as a reader's shell would; returns what it printed."""
    done = subprocess.run(
        ["bash", "-euc", with_ports(block, ports)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, block
    return done.stdout


def with_ports(block, ports):
    return block.replace("8500", ports[0]).replace("8501", ports[1])


def start_server(folder, block):
    """Starts the server's block on free ports; the process and its two ports."""
    command = with_ports(block, ("0", "0")).strip()
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        **{"cwd": folder, "env": environment()},
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    ports = re.match(r"serving: grpc=\S+:(\d+) rest=\S+:(\d+) ", line)
    return process, (ports[1], ports[2])


def test_there_is_one_server_and_it_comes_before_the_questions():
    kinds = ["server" if block.startswith(SERVER) else "other" for block in BLOCKS]
    assert kinds.count("server") == 1
    asking = [number for number, block in enumerate(BLOCKS) if "8500" in block]
    assert min(asking) == kinds.index("server")


@pytest.mark.tutorial
def test_whole_tutorial(tmp_path):
    printed, server, ports = [], None, ("8500", "8501")
    try:
        for block in BLOCKS:
            if block.startswith(SERVER):
                server, ports = start_server(tmp_path, block)
                printed.append("")
            else:
                printed.append(shell(tmp_path, block, ports))
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    check(tmp_path, dict(zip(BLOCKS, printed, strict=True)))


def check(folder, printed):
    """The text's promises about the output and files of its commands."""
    ask = "python -m serving.client --target localhost:8500"
    answers = [text for block, text in printed.items() if ask in block]
    assert len(answers) == 3
    items = (folder / "data/shop/item_vocab.txt").read_text().split()
    for text in answers:
        lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
        assert len(lines) == 5 and {line[0] for line in lines} <= {*items}
    assert '"predictions"' in answers[2]
    assert (folder / "data/shop/statistics/index.html").exists()
    assert (folder / "export/shop/2/saved_model.pb").exists()
    assert better(folder, "sasrec", "popularity")


def better(folder, one, other):
    found = []
    for run in (one, other):
        text = (folder / f"runs/{run}/evaluation/test.json").read_text()
        found.append(float(re.search(r'"NDCG@20": ([\d.]+)', text)[1]))
    return found[0] > found[1]
