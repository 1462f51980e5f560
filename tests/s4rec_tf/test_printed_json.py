"""`--json` and `--quiet`: what programs read from the commands' standard output."""

import json

import pytest

from benchmarks import small_datasets
from s4rec_tf.analyze import __main__ as analyze
from s4rec_tf.evaluate import __main__ as evaluate
from s4rec_tf.export import __main__ as export
from s4rec_tf.train import __main__ as train


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Flags that name a dataset and a finished run of the popularity model."""
    root = tmp_path_factory.mktemp("run")
    sequences = small_datasets.markov_sequences(30, 12, seed=3)
    dataset = small_datasets.write_dataset(root / "data", sequences, 12)
    named = ["--dataset", str(dataset), "--run_dir", str(root / "run")]
    assert train.main([*named, "--model", "popularity"]) == 0
    return named


def printed(command, capsys, *argv):
    assert command.main([*argv]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_outcome_of_training(flags, capsys):
    found, err = printed(train, capsys, *flags, "--model", "popularity", "--json")
    assert found["run_dir"] == flags[3] and found["best_epoch"] == 1
    assert 0 <= found["best_value"] <= 1
    assert "is finished" in err


def test_quiet_training_prints_its_outcome_alone(flags, capsys):
    assert train.main([*flags, "--model", "popularity", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("best validation NDCG@20 ") and out.count("\n") == 1
    assert err == ""


def test_metrics(flags, capsys):
    found, _ = printed(evaluate, capsys, *flags, "--json")
    with open(f"{flags[3]}/evaluation/test.json") as file:
        assert found == json.load(file)


def test_findings_of_the_analysis(flags, capsys):
    found, _ = printed(analyze, capsys, *flags, "--json")
    with open(f"{flags[3]}/evaluation/analysis.json") as file:
        assert found == json.load(file)["findings"]


def test_exported_version(flags, capsys, tmp_path):
    folder = tmp_path / "shop"
    argv = [*flags, "--export_dir", str(folder), "--json"]
    found, _ = printed(export, capsys, *argv)
    assert found == {"path": str(folder / "1"), "version": 1}
