"""The page of a run, from files written by hand."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from page_reading import Page, needs_nothing_else, plots, without_plotly

from s4rec_tf.analyze.run_page import write_page

EPOCHS = [
    {"epoch": 1, "loss": 3.0, "next_item_weighted": 2.0, "val_NDCG@20": 0.1},
    {"epoch": 2, "loss": 2.0, "next_item_weighted": 1.5, "val_NDCG@20": 0.2},
]


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "my run"
    (folder / "evaluation").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model": "s4rec", "dim": 64}))
    return folder


def page_of(run_dir):
    page = write_page(run_dir).read_text("utf-8")
    assert needs_nothing_else(page)
    return page


def test_curves_are_those_of_the_epochs(run_dir):
    lines = "".join(json.dumps(epoch) + "\n" for epoch in EPOCHS)
    (run_dir / "metrics.jsonl").write_text(lines)
    drawn = plots(page_of(run_dir))
    (terms,) = drawn["Loss terms by epoch, weighted"]["data"]
    assert (terms["name"], terms["x"], terms["y"]) == (
        "next_item",
        ["1", "2"],
        [2, 1.5],
    )
    (quality,) = drawn["Validation by epoch"]["data"]
    assert quality["y"] == [0.1, 0.2]


def test_slices_have_intervals_over_users(run_dir):
    # Ranks 1 and 3 of head users, 1, 21, 40 of tail users.
    ranks, is_head = np.array([1, 3, 1, 21, 40]), np.array([1, 1, 0, 0, 0], bool)
    np.savez(run_dir / "evaluation/test_ranks.npz", ranks=ranks, is_head=is_head)
    text = Page(page_of(run_dir)).text
    # Head: NDCG (1 + 1/2) / 2, standard error 0.25. Tail: HR 1/3, standard error 1/3.
    assert "0.7500 ± 0.4900" in text
    assert "0.3333 ± 0.6533" in text
    assert "Metrics, test" in text and "Metrics, valid" not in text


def test_clusters_and_map(run_dir):
    clusters = {"prototypes": {"users": [4, 0, 10], "heads": [1, 0, 5]}}
    found = {"split": "test", "findings": {"probe_auc": 0.7}, "clusters": clusters}
    (run_dir / "evaluation/analysis.json").write_text(json.dumps(found))
    places, is_head = np.zeros((3, 2), np.float32), np.array([True, False, False])
    intents = np.array([2, 2, 0])
    stored = {"places": places, "is_head": is_head, "intents": intents}
    np.savez(run_dir / "evaluation/embedding_map.npz", **stored)
    drawn = plots(page_of(run_dir))
    (bars,) = drawn["Share of head users by cluster, prototypes: 2 of 3 in use"]["data"]
    assert (bars["x"], bars["y"]) == (["2", "0"], [0.5, 0.25])
    tail, head = drawn["Some users in the plane, by t-SNE"]["data"]
    assert (len(tail["x"]), len(head["x"])) == (2, 1)
    coloured = drawn["The same users, by the 5 most frequent intents"]["data"]
    assert {trace["name"]: len(trace["x"]) for trace in coloured} == {
        "other intents": 0,
        "intent 2": 2,
        "intent 0": 1,
    }
    assert all(go.Figure(figure).data for figure in drawn.values())


USER = {
    "is_head": False,
    "length": 6,
    "history": ["soap <3", "brush"],
    "next": "comb",
    "rank": 1204,
    "answers": ["oil", "comb"],
}


def test_intents_and_users_are_shown_by_names(run_dir):
    clusters = {"prototypes": {"users": [4, 0, 10], "heads": [1, 0, 5]}}
    found = {"split": "test", "findings": {"probe_auc": 0.7}, "clusters": clusters}
    (run_dir / "evaluation/analysis.json").write_text(json.dumps(found))
    named = {"users": [USER], "intents": [["soap <3"], ["never"], ["oil", "comb"]]}
    (run_dir / "evaluation/examples.json").write_text(json.dumps(named))
    text = " ".join(Page(page_of(run_dir)).text.split())
    assert "2 of 3 prototypes are the nearest of some user" in text
    # The intent of more users first; one that nobody has is left out.
    assert "2 10 0.500 oil; comb 0 4 0.250 soap <3" in text and "never" not in text
    assert "A tail user with 6 items" in text
    assert "The last of them: soap <3; brush. Then came comb, ranked 1,204." in text
    assert "rank answer came next 1 oil 2 comb yes" in text


def test_run_without_epochs_or_evaluation_has_its_settings(run_dir):
    page = page_of(run_dir)
    assert "No epoch is on record." in page and "s4rec" in without_plotly(page)
    assert plots(page) == {}
