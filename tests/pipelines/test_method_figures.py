"""The plots of docs/how_s4rec_works.md: what they draw, of a ledger written by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipelines.experiments import ledger
from pipelines.report import method_figures, method_plots

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how_s4rec_works.md").read_text("utf-8")
QUANTILES = ("min", "q25", "median", "q75", "max")


def keep(path, model, variant, seed=1, level=0.5, analysis=()):
    """A run with a level of quality for each quarter, and a map of four users."""
    names = ("dataset", "model", "config", "variant", "machine", "code_version")
    texts = ("beauty", model, "defaults", variant, "two cores", "abc")
    quarters = {f"length_q{n}/NDCG@20": level + n / 100 for n in range(1, 5)}
    line = dict(zip(names, texts, strict=True)) | {
        **{"settings": {}, "seed": seed, "epochs": 1, "minutes": 1.0},
        **{"valid": {"NDCG@20": level}, "test": quarters, "data_fingerprint": "f00"},
        "analysis": dict(analysis),
    }
    ledger.append(path, line)
    file = ledger.ranks_file(path, line)
    file.parent.mkdir(exist_ok=True)
    places = np.array([[0, 0], [1, 1], [2, 2], [3, 3]], np.float32)
    is_head = np.array([True, True, False, False])
    np.savez(file, ranks=[1], is_head=[True], map_places=places, map_is_head=is_head)


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "runs.jsonl"
    rates = {f"kmeans_head_rate_{q}": n / 10 for n, q in enumerate(QUANTILES)}
    keep(found, "sasrec", "main", level=0.3, analysis=rates)
    keep(found, "s4rec", "control_views", level=0.4)
    keep(found, "s4rec", "main", seed=1, level=0.5)
    keep(found, "s4rec", "main", seed=2, level=0.7)
    for variant in ("short", "short_without_gr"):
        keep(found, "s4rec", variant, analysis=rates)
    return found


def test_ledgers_plots(path):
    plots = method_plots.ledger_plots(path)
    bars = plots["quality_by_length"]["data"]
    assert [trace["name"] for trace in bars] == [
        *("SASRec", "SASRec with view targets", "S4Rec")
    ]
    assert bars[2]["y"] == pytest.approx([0.61, 0.62, 0.63, 0.64])  # mean of seeds
    boxes = plots["head_rate_of_clusters"]["data"]
    assert len(boxes) == 3 and boxes[0]["median"] == [0.2]
    tail, head = plots["with_adversary"]["data"]  # every second user
    assert (tail["x"], head["x"]) == ([2.0], [0.0])
    assert set(plots["without_adversary"]) == {"data", "layout"}


def test_run_that_is_missing_is_named(path, tmp_path, capsys):
    lines = path.read_text().splitlines(keepends=True)
    few = tmp_path / "few.jsonl"
    few.write_text("".join(x for x in lines if json.loads(x)["variant"] != "short"))
    assert method_figures.main(["--ledger", str(few)]) == 1
    assert "s4rec, variant short, on beauty" in capsys.readouterr().err


def test_run_without_intents_is_refused(tmp_path):
    (tmp_path / "evaluation").mkdir()
    with pytest.raises(ValueError, match="0 of its two maps"):
        method_plots.intents_plot(tmp_path)
    places, is_head = np.zeros((3, 2)), np.array([True, False, False])
    stored = {"places": places, "is_head": is_head}
    file = tmp_path / "evaluation" / "embedding_map.npz"
    np.savez(file, **stored)
    with pytest.raises(ValueError, match="1 of its two maps"):
        method_plots.intents_plot(tmp_path)
    np.savez(file, **stored, intents=np.array([2, 2, 0]))
    drawn = method_plots.intents_plot(tmp_path)["data"]
    assert [trace["name"] for trace in drawn] == [
        *("other intents", "intent 2", "intent 0")
    ]


def test_page_names_files_that_there_are():
    names = re.findall(r"`(s4rec_tf/[\w/]+\.py)(?:: (\w+))?`", PAGE)
    assert len(names) > 8
    for file, function in names:
        assert function in (ROOT / file).read_text("utf-8")


def test_page_has_the_probes_of_the_ledger():
    runs = ledger.read(ROOT / "docs" / "results" / "runs.jsonl")
    found = {
        (run["model"], run["variant"]): run["analysis"]["probe_auc"]
        for run in runs
        if run["dataset"] == "beauty" and run["seed"] == 1
    }
    without, with_adversary, plain = (
        f"{found[name]:.3f}"
        for name in (
            *(("s4rec", "short_without_gr"), ("s4rec", "short"), ("sasrec", "short")),
        )
    )
    said = f"{without} without the adversary, {with_adversary} with it, and {plain} in"
    assert said in " ".join(PAGE.split())
