"""The command on a real run of the trainer."""

import json
from pathlib import Path

import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf.export import __main__ as command
from s4rec_tf.train import __main__ as train_command

NUM_ITEMS = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    sequences = small_datasets.markov_sequences(30, NUM_ITEMS, seed=3)
    dataset = small_datasets.write_dataset(root / "data", sequences, NUM_ITEMS)
    flags = ["--dataset", dataset, "--run_dir", root / "run"]
    code = train_command.main([*map(str, flags), "--model", "popularity"])
    assert not code
    return sequences, [str(flag) for flag in flags]


def exported(run, tmp_path, capsys, *flags):
    _, common = run
    export_dir = tmp_path / "demo"
    assert command.main([*common, "--export_dir", str(export_dir), *flags]) == 0
    version = Path(capsys.readouterr().out.splitlines()[-1])
    assert version == export_dir / "1"
    return version


def popular(version):
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    width = signature.structured_input_signature[1]["history"].shape[1]
    answer = signature(history=tf.constant([[""] * width]))
    assert answer["is_fallback"].numpy().tolist() == [True]
    items = [item.decode() for item in answer["item_ids"].numpy()[0]]
    return items, answer["scores"].numpy()[0].tolist()


def counts(parts):
    actions = [item for part in parts for item in part]
    order = sorted(range(1, NUM_ITEMS + 1), key=lambda i: (-actions.count(i), i))
    return [f"item-{i}" for i in order], [float(actions.count(i)) for i in order]


def test_run_is_exported_with_its_training_counts(run, tmp_path, capsys):
    version = exported(run, tmp_path, capsys)
    assert popular(version) == counts(sequence[:-2] for sequence in run[0])
    card = (version.parent / ".meta/1/model_card.md").read_text()
    assert "| model | popularity |" in card and "validation NDCG@20" in card


def test_refit_counts_every_action(run, tmp_path, capsys):
    version = exported(run, tmp_path, capsys, "--refit", "--max_k", "99")
    assert popular(version) == counts(run[0])
    manifest = json.loads((version.parent / ".meta/1/MANIFEST.json").read_text())
    assert manifest["model"] == "demo"


def test_folder_that_is_no_run_is_named(run, tmp_path, capsys):
    flags = [*run[1][:2], "--run_dir", str(tmp_path / "none")]
    assert command.main([*flags, "--export_dir", str(tmp_path / "x")]) == 1
    captured = capsys.readouterr()
    assert (
        captured.err.startswith("export: ") and str(tmp_path / "none") in captured.err
    )
    assert not (tmp_path / "x").exists()
