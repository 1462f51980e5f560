"""Runs whose dataset stays on disk: chosen by size, refused where all is needed."""

import threading

import numpy as np
import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data.streamed import StreamedSamples
from s4rec_tf.runs import config
from s4rec_tf.runs.run_dir import RunDir, RunError
from s4rec_tf.train import __main__ as command
from s4rec_tf.train.tensorflow import trainer, training_data
from tests.s4rec_tf.small_runs import arrays
from tests.s4rec_tf.train.lives import history

NUM_ITEMS = 20
TINY = ["epochs=2", "dim=8", "max_length=6", "num_layers=1", "batch_size=16"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "dataset"
    sequences = small_datasets.markov_sequences(60, NUM_ITEMS, seed=3)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS, 3))


def read(dataset, model, *settings):
    return training_data.read(config.resolve(model, None, list(settings)), dataset)


def test_auto_chooses_by_size_and_says_so(dataset, monkeypatch, capsys):
    actions = dataset.info().num_actions
    assert read(dataset, "sasrec").streamed is None
    assert capsys.readouterr().out == (
        f"data: memory, since the dataset has {actions:,} actions "
        "(streaming from 100,000,000)\n"
    )
    monkeypatch.setattr(training_data, "STREAMED_FROM", actions)
    assert isinstance(read(dataset, "sasrec").streamed, StreamedSamples)
    assert capsys.readouterr().out.startswith("data: streaming, since")
    assert read(dataset, "sasrec", "data=memory").streamed is None


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("bpr", [], "`model` must not need all users at once.*Received: bpr.*memory"),
        ("sasrec", ["replaced_share=0.1"], "`replaced_share`.*Received: 0.1"),
    ],
)
def test_what_needs_all_users_at_once_is_refused(dataset, model, settings, message):
    with pytest.raises(config.ConfigError, match=message):
        read(dataset, model, "data=streaming", *settings)


def test_correlated_items_are_refused_before_the_first_step(dataset, tmp_path):
    resolved = config.resolve("coserec", None, [*TINY, "data=streaming"])
    with pytest.raises(ValueError, match="`num_correlated` must not need"):
        trainer.train(resolved, dataset, tmp_path)


def test_run_of_the_flag_learns_and_keeps_to_it(dataset, tmp_path, capsys):
    flags = [f"--dataset={dataset.root}", f"--run_dir={tmp_path}", "--model=iclrec"]
    sizes = [*TINY, "num_intents=4"]
    assert command.main([*flags, "--data=streaming", "--set", *sizes]) == 0
    first, second = history(tmp_path)
    assert second["next_item"] < first["next_item"]
    assert RunDir(tmp_path).read_config().train.data == "streaming"
    resolved = config.resolve("iclrec", None, sizes)
    with pytest.raises(RunError, match="data: 'streaming' there, 'auto' asked for"):
        trainer.train(resolved, dataset, tmp_path)


def test_no_stream_is_open_after_training(dataset, tmp_path, monkeypatch):
    """A thread that waits for Python would keep the command from ending."""
    epoch, opened, closed = StreamedSamples.epoch, [], threading.Semaphore(0)

    def noted(*arguments):
        opened.append(1)
        try:
            yield from epoch(*arguments)
        finally:
            closed.release()

    monkeypatch.setattr(StreamedSamples, "epoch", noted)
    resolved = config.resolve("sasrec", None, [*TINY, "epochs=1", "data=streaming"])
    trainer.train(resolved, dataset, tmp_path)
    assert len(opened) > 1
    for _ in opened:
        assert closed.acquire(timeout=60)


def test_popularity_counts_the_same(dataset, tmp_path):
    runs = [tmp_path / "memory", tmp_path / "streaming"]
    for run in runs:
        resolved = config.resolve("popularity", None, [f"data={run.name}"])
        trainer.train(resolved, dataset, run)
    one, other = (arrays(RunDir(run).best)["variable_00000"] for run in runs)
    np.testing.assert_array_equal(one, other)
    assert history(runs[0]) == history(runs[1])
