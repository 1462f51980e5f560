"""Follows docs/adding_a_model.md in a copy of the repository."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from benchmarks import small_datasets

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding_a_model.md").read_text("utf-8")
NUM_ITEMS = 30
QUICK = ["epochs=1", "dim=8", "max_length=8", "batch_size=64"]


def files_of_the_page():
    """Path -> content, of the numbered steps that name a file of their own."""
    steps = re.findall(
        r"^\d\. [^`]*`([^`]+)`[^\n]*\n+   ```\w+\n(.*?)\n   ```", PAGE, re.M | re.S
    )
    return {path: textwrap.dedent(code) + "\n" for path, code in steps}


def commands_of_the_page():
    (block,) = re.findall(r"^```bash\n(.*?)\n```", PAGE, re.M | re.S)
    return [shlex.split(line) for line in block.splitlines()]


def register(lines, registry):
    """Puts the page's import among the imports, and its name into the table."""
    imported, named = lines.strip("\n").split("\n\n")
    text = registry.read_text("utf-8")
    imports = sorted({*re.findall(r"^from s4rec_tf.*$", text, re.M), imported})
    block = re.compile(r"(^from s4rec_tf[^\n]*\n)+", re.M)
    text = block.sub("\n".join(imports) + "\n", text, count=1)
    table = re.search(r"^MODELS: .*\{\n", text, re.M)
    registry.write_text(f"{text[: table.end()]}{named}\n{text[table.end() :]}")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The repository with the page's files, and a dataset where the page has Beauty."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("s4rec_tf", "pipelines", "serving", "benchmarks", "tests", "docs"):
        ignored = shutil.ignore_patterns("__pycache__", "*.jsonl", "ranks")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", root)
    for path, text in files_of_the_page().items():
        if path.endswith("registry.py"):
            register(text, root / path)
        else:
            assert not (root / path).exists()
            (root / path).write_text(text, "utf-8")
    sequences = small_datasets.markov_sequences(200, NUM_ITEMS, seed=1)
    small_datasets.write_dataset(root / "out" / "beauty", sequences, NUM_ITEMS)
    return root


IN_A_ROW = """
import json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv = words
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
"""


def run_in_a_row(root, commands):
    """Runs `python -m MODULE ...` commands in one process, up to the first failure."""
    modules = [words[2:] for words in commands]
    return run(root, ["python", "-c", IN_A_ROW, json.dumps(modules)])


def run(root, words):
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, *words[1:]],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_model_is_four_files():
    assert list(files_of_the_page()) == [
        "s4rec_tf/models/mean_items.py",
        "s4rec_tf/models/registry.py",
        "s4rec_tf/configs/mean_items_beauty.yaml",
        "tests/s4rec_tf/models/test_mean_items.py",
    ]


def test_the_new_file_is_clean(copy):
    for command in (["check"], ["format", "--check"]):
        words = ["python", "-m", "ruff", *command, "s4rec_tf/models"]
        done = run(copy, words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_page_works(copy):
    tests, train, evaluate, export, _ = commands_of_the_page()
    done = run(copy, [*tests, "-p", "no:cacheprovider"])
    assert done.returncode == 0, done.stdout[-3000:]
    assert "failed" not in done.stdout
    done = run_in_a_row(copy, [[*train, "--set", *QUICK], evaluate, export])
    assert done.returncode == 0, done.stderr[-3000:]
    assert (copy / "out/export/mean_items/1/saved_model.pb").is_file()


@pytest.mark.slow
def test_the_model_is_compared_with_its_recipe(copy):
    done = run(copy, commands_of_the_page()[-1])
    assert done.returncode == 0, done.stderr[-3000:]
    table = (copy / "out/comparison/beauty.md").read_text("utf-8")
    assert "| mean_items | mean_items_beauty |" in table
    assert "| popularity | defaults |" in table
