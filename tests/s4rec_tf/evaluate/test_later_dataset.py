"""A run on a dataset that goes on from its own, by ranks worked out by hand."""

import json

import numpy as np
import pytest
from keras import ops

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data.records import read_split
from s4rec_tf.evaluate import __main__ as evaluate_command
from s4rec_tf.evaluate import evaluation, later_dataset
from s4rec_tf.runs import checkpoints, restore
from s4rec_tf.runs import config as configuration
from s4rec_tf.runs.run_dir import RunDir

YESTERDAY = [[1, 2, 3, 4], [4, 3, 2, 1]]
# Items 5 and 6 are new; a history is all but the last item.
TODAY = [[1, 2, 5, 3], [1, 2, 3, 6], [5, 6, 6, 2], [5, 1, 2, 4]]
COUNTS = [9, 7, 5, 2]
# 3 before 4, with 1 and 2 in the history; unknown: after all four; all but one unknown
# to it: by popularity; 4 after 3.
RANKS = [1, 5, 2, 2]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    root = tmp_path_factory.mktemp("days")
    write = small_datasets.write_dataset
    days = [write(root / "old", YESTERDAY, 4), write(root / "new", TODAY, 6)]
    return [spec.DatasetDir(day) for day in days]


@pytest.fixture(scope="module")
def run(datasets, tmp_path_factory):
    """A run of yesterday that ranks by fixed counts."""
    settings = configuration.from_flat({"model": "popularity", "seed": 3})
    run = RunDir(tmp_path_factory.mktemp("runs") / "run")
    run.begin(settings, datasets[0])
    model = restore.build_model(settings, datasets[0].info())
    model.prepare(np.array(COUNTS))
    checkpoints.write_checkpoint(run.best, model.weights, {})
    return run.root


def command(dataset, run, *flags):
    return evaluate_command.main(
        ["--dataset", str(dataset.root), "--run_dir", str(run), *flags]
    )


def test_ranks_are_those_of_the_version_in_service(datasets, run, tmp_path, capsys):
    output = ("--later_dataset", "--output", str(tmp_path / "found"))
    assert command(datasets[1], run, *output) == 0
    with np.load(tmp_path / "found" / "test_ranks.npz") as stored:
        assert stored["ranks"].tolist() == RANKS
    metrics = json.loads((tmp_path / "found" / "test.json").read_text())
    assert metrics["MRR"] == pytest.approx(np.mean([1 / rank for rank in RANKS]))
    assert not (run / "evaluation").exists()


def test_users_without_a_known_item_are_answered_by_popularity(datasets, run):
    test = read_split(datasets[1], "test")
    model = later_dataset.restore_earlier(run, datasets[1])
    # What the model makes of an empty history does not matter then.
    model.user_vectors = lambda item_ids: -ops.ones((ops.shape(item_ids)[0], 1))
    assert later_dataset.evaluate_earlier(model, test).ranks[2] == RANKS[2]


def test_on_its_own_dataset_it_is_the_usual_evaluation(datasets, run):
    test = read_split(datasets[0], "test")
    model, _ = restore.restore_best(run, datasets[0])
    usual = evaluation.evaluate_model(model, test)
    found = later_dataset.evaluate_earlier(model, test)
    assert found.metrics == usual.metrics
    np.testing.assert_array_equal(found.ranks, usual.ranks)


def test_other_items_are_refused(datasets, run, tmp_path, capsys):
    names = [f"item-{number}" for number in (2, 1, 3, 4)]
    other = small_datasets.write_dataset(tmp_path / "other", YESTERDAY, 4)
    (other / "item_vocab.txt").write_text("".join(f"{name}\n" for name in names))
    with pytest.raises(ValueError, match="4 items, which must be the first items"):
        later_dataset.restore_earlier(run, spec.DatasetDir(other))


def test_output_must_be_named(datasets, run):
    with pytest.raises(SystemExit) as end:
        command(datasets[1], run, "--later_dataset")
    assert end.value.code == 2
