"""The notebooks, run from top to bottom in one empty folder."""

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".cache" / "notebooks-python" / "bin" / "python"
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def read(path):
    return json.loads(path.read_text("utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_holds_no_output_and_its_code_is_python(path):
    cells = read(path)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            ast.parse("".join(cell["source"]))
    assert cells[0]["cell_type"] == "markdown"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(path):
    text = "".join(line for cell in read(path) for line in cell["source"])
    targets = re.findall(r"\]\(([^)\s#]+)", text)
    assert targets and all((path.parent / target).exists() for target in targets)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a notebook; what it printed. All share a folder, and so the data."""
    folder = tmp_path_factory.mktemp("notebooks")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def call(name):
        path = ROOT / "docs" / "notebooks" / f"{name}.ipynb"
        script = Path(__file__).with_name("run_notebook.py")
        command = [str(PYTHON), str(script), str(path), str(folder)]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    call.folder = folder
    return call


@pytest.mark.notebooks
def test_first_model(run):
    printed = run("first_model")
    levels = dict(
        re.findall(r"^(\w+) +HR@20 \S+ NDCG@20 (\S+)$", printed, re.MULTILINE)
    )
    assert float(levels["sasrec"]) > float(levels["popularity"]) > 0
    history, answer = (
        ast.literal_eval(text) for text in re.findall(r"\['B[^\]]*\]", printed)
    )
    vocabulary = (
        (run.folder / "notebook_output/data/item_vocab.txt").read_text().split()
    )
    assert len(answer) == 10 and {*answer} <= {*vocabulary} - {*history}


@pytest.mark.notebooks
def test_compare_models(run):
    printed = run("compare_models")
    found = re.findall(
        r"^(\w+ - \w+), (\w+) *: (\S+) \((\S+) to (\S+)\), (\d+) users$",
        printed,
        re.MULTILINE,
    )
    assert [row[1] for row in found] == ["all", "head", "tail"] * 2
    assert all(float(low) <= float(d) <= float(high) for _, _, d, low, high, _ in found)
    assert float(found[0][3]) > 0  # SASRec is better than popularity, by no chance
    assert "application/vnd.plotly" in printed


@pytest.mark.notebooks
def test_inside_s4rec(run):
    printed = run("inside_s4rec")
    purity = float(re.search(r"^(\S+) of the users have the usual", printed, re.M)[1])
    assert 1 / 8 < purity <= 1
    assert re.search(r"curve: 0\.\d+", printed) and "of 8" in printed
    assert "application/vnd.plotly" in printed
