"""Item vectors as TensorBoard's projector reads them."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.backend.event_processing import event_multiplexer
from tensorboard.plugins import projector as plugin

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.analyze import __main__ as command
from s4rec_tf.data import titles
from s4rec_tf.runs import config, restore
from s4rec_tf.train.tensorflow import trainer

NUM_ITEMS = 12


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projector")
    rows = small_datasets.markov_sequences(30, NUM_ITEMS, seed=3)
    dataset = spec.DatasetDir(
        small_datasets.write_dataset(folder / "dataset", rows, NUM_ITEMS)
    )
    settings = ["epochs=1", "dim=4", "batch_size=16"]
    resolved = config.resolve("bpr", None, settings)
    trainer.train(resolved, dataset, folder / "run")
    return [f"--dataset={dataset.root}", f"--run_dir={folder / 'run'}", "--seed=1"]


def paths(flags):
    return [flag.partition("=")[2] for flag in flags[:2]]


def test_vectors_ids_and_titles_are_found_by_tensorboard(flags, tmp_path):
    dataset = spec.DatasetDir(Path(paths(flags)[0]))
    raw_ids = dataset.item_vocab.read_text().splitlines()
    titles = tmp_path / "titles.tsv"
    titles.write_text(f"{raw_ids[2]}\tA  book,\tsecond part\nunknown\tNobody's\n")
    assert command.main([*flags, "--projector", f"--titles={titles}"]) == 0
    run_dir = Path(paths(flags)[1])
    runs = event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(str(run_dir / "tensorboard"))
    assert "items" in runs.Runs()
    folder = run_dir / "tensorboard" / "items"
    found = text_format.Parse(
        (folder / "projector_config.pbtxt").read_text(), plugin.ProjectorConfig()
    ).embeddings[0]
    model, _ = restore.restore_best(run_dir, dataset)
    vectors = np.loadtxt(folder / found.tensor_path, delimiter="\t")
    np.testing.assert_allclose(vectors, np.asarray(model.item_vectors()), rtol=1e-5)
    lines = (folder / found.metadata_path).read_text().splitlines()
    expected = [[one, one] for one in raw_ids]
    expected[2][1] = "A book, second part"
    assert [line.split("\t") for line in lines] == [["item", "title"], *expected]


def test_titles_need_a_tab(tmp_path):
    path = tmp_path / "titles.tsv"
    path.write_text("a\tA\nb\n")
    with pytest.raises(ValueError, match=r"line 2, must hold an item id, a tab"):
        titles.read_titles(path)
