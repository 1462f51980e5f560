"""A run that starts from another one's weights, with more items than that one knew."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.runs import checkpoints, config, restore
from s4rec_tf.runs.run_dir import RunDir, RunError
from s4rec_tf.train import setup
from s4rec_tf.train.tensorflow import trainer
from s4rec_tf.train.warm_start import start_from

BEFORE, AFTER = 15, 19
SMALL = ["dim=8", "max_length=6", "num_layers=1", "num_intents=4", "batch_size=16"]
SMALL += ["epochs=1"]


def resolved(*settings: str, model: str = "s4rec") -> config.ExperimentConfig:
    known = [s for s in SMALL if model == "s4rec" or not s.startswith("num_intents")]
    return config.resolve(model, None, [*known, *settings])


def write_dataset(root: Path, num_items: int) -> spec.DatasetDir:
    sequences = small_datasets.markov_sequences(30, num_items, seed=num_items)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, num_items))


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the items known yesterday."""
    root = tmp_path_factory.mktemp("yesterday")
    trainer.train(resolved(), write_dataset(root / "data", BEFORE), root / "run")
    return root / "run"


@pytest.fixture
def today(tmp_path: Path) -> spec.DatasetDir:
    return write_dataset(tmp_path / "data", AFTER)


def new_model(chosen: config.ExperimentConfig, dataset: spec.DatasetDir) -> Any:
    train = records.read_split(dataset, "train")
    return setup.build_for_training(chosen, dataset.info(), train)


def values(model: Any) -> list[np.ndarray]:
    return [np.array(weight) for weight in model.weights]


def test_old_rows_are_copied_and_new_ones_are_initialised(
    yesterday: Path, today: spec.DatasetDir
) -> None:
    fresh = new_model(resolved(), today)
    model = new_model(resolved(), today)
    start_from(model, yesterday, today)
    info = dataclasses.replace(today.info(), num_items=BEFORE)
    source = restore.build_model(resolved(), info)
    checkpoints.read_checkpoint(RunDir(yesterday).best, source.weights)
    for weight, found, old, new in zip(
        model.weights, *map(values, (model, source, fresh)), strict=True
    ):
        if weight is model.item_counts:
            np.testing.assert_array_equal(found, new)
        elif weight is model.item_embedding.table:
            assert len(found) == AFTER
            np.testing.assert_array_equal(found[:BEFORE], old)
            np.testing.assert_array_equal(found[BEFORE:], new[BEFORE:])
        else:
            np.testing.assert_array_equal(found, old, err_msg=weight.path)


def test_a_run_starts_there_and_says_so(
    yesterday: Path, today: spec.DatasetDir, tmp_path: Path, capsys: Any
) -> None:
    still = resolved("learning_rate=1e-12")
    trainer.train(still, today, tmp_path / "run", warm_start=yesterday)
    assert f"starting from {yesterday}" in capsys.readouterr().out
    model, _ = restore.restore_best(tmp_path / "run", today)
    expected = new_model(still, today)
    start_from(expected, yesterday, today)
    trained = {id(weight) for weight in expected.trainable_weights}
    for weight, found in zip(expected.weights, values(model), strict=True):
        if id(weight) in trained:
            np.testing.assert_allclose(found, np.array(weight), atol=1e-6)
    # The same command again finds the run finished; without the flag it is another.
    trainer.train(still, today, tmp_path / "run", warm_start=yesterday)
    assert "is finished" in capsys.readouterr().out
    with pytest.raises(RunError, match="started from other weights"):
        trainer.train(still, today, tmp_path / "run")


def test_other_items_in_front_are_refused(
    yesterday: Path, today: spec.DatasetDir
) -> None:
    names = today.item_vocab.read_text().splitlines()
    today.item_vocab.write_text("".join(f"{name}\n" for name in names[::-1]))
    with pytest.raises(RunError, match="15 items, which must be the first items"):
        start_from(new_model(resolved(), today), yesterday, today)


def test_another_model_is_refused(yesterday: Path, today: spec.DatasetDir) -> None:
    chosen = resolved(model="sasrec")
    with pytest.raises(RunError, match=r"another model: s4rec\. Asked for: SASRec"):
        start_from(new_model(chosen, today), yesterday, today)


def test_another_width_is_refused(yesterday: Path, today: spec.DatasetDir) -> None:
    chosen = resolved("dim=16")
    with pytest.raises(RunError, match=r"has shape .* there\. Asked for"):
        start_from(new_model(chosen, today), yesterday, today)


def test_a_folder_without_a_checkpoint_is_refused(
    today: spec.DatasetDir, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="has no checkpoint"):
        trainer.train(resolved(), today, tmp_path / "run", warm_start=tmp_path / "none")


def test_users_of_yesterday_keep_their_vectors(tmp_path: Path) -> None:
    old_days = [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 8]] * 8
    older = small_datasets.write_dataset(tmp_path / "old", old_days, BEFORE)
    newer = small_datasets.write_dataset(
        tmp_path / "new", [*old_days, [2, 3, 4]], AFTER
    )
    chosen = config.resolve("bpr", None, ["dim=4", "epochs=1", "batch_size=8"])
    trainer.train(chosen, spec.DatasetDir(older), tmp_path / "run")
    before, _ = restore.restore_best(tmp_path / "run", spec.DatasetDir(older))
    model = new_model(chosen, spec.DatasetDir(newer))
    fresh = np.array(model.users.table)
    start_from(model, tmp_path / "run", spec.DatasetDir(newer))
    found = np.array(model.users.table)
    np.testing.assert_array_equal(found[:-1], np.array(before.users.table))
    np.testing.assert_array_equal(found[-1], fresh[-1])
    assert model.index_of_users(np.array([b"user-00024"], object)).tolist() == [24]
    wider = config.resolve("bpr", None, ["dim=5"])
    with pytest.raises(RunError, match=r"has shape .* there\. Asked for"):
        other = new_model(wider, spec.DatasetDir(newer))
        start_from(other, tmp_path / "run", spec.DatasetDir(newer))
