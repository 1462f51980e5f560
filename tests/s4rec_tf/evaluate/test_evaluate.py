import gc
import json
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data.records import read_split
from s4rec_tf.evaluate import __main__ as evaluate_command
from s4rec_tf.evaluate import evaluation, report
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import checkpoints, restore
from s4rec_tf.runs import config as configuration
from s4rec_tf.runs.run_dir import RunDir

NUM_ITEMS = 40


class StandIn(keras.Model):
    """The methods of a model without users that evaluation calls."""

    max_length = 5
    is_dot_product = True

    def index_of_users(self, user_ids):
        return None


class Successor(StandIn):
    """Scores item i + 1 highest, and then by nearness to it; counts its traces."""

    def __init__(self):
        super().__init__()
        self.traces = 0
        self.angle = self.add_weight(shape=(), initializer="zeros", name="angle")

    def user_vectors(self, item_ids):
        self.traces += 1
        assert item_ids.shape[1] == self.max_length
        return self._on_circle(item_ids[:, -1] + 1)

    def item_vectors(self):
        return self._on_circle(ops.arange(1, NUM_ITEMS + 1))

    def _on_circle(self, item_ids):
        angles = ops.cast(item_ids, "float32") * (2 * np.pi / NUM_ITEMS) + self.angle
        return ops.stack([ops.cos(angles), ops.sin(angles)], axis=1)


class Popularity(StandIn):
    def __init__(self, counts):
        super().__init__()
        self.counts = np.array(counts, np.float32)

    def user_vectors(self, item_ids):
        return ops.ones((ops.shape(item_ids)[0], 1))

    def item_vectors(self):
        return ops.convert_to_tensor(self.counts[:, None])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    sequences = small_datasets.markov_sequences(60, NUM_ITEMS, seed=1, noise=0.0)
    root = tmp_path_factory.mktemp("data") / "markov"
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, NUM_ITEMS))


def run_command(monkeypatch, dataset, model, run_dir, *flags):
    monkeypatch.setattr(restore, "restore_best", lambda run_dir, dataset: (model, None))
    return evaluate_command.main(
        ["--dataset", str(dataset.root), "--run_dir", str(run_dir), *flags]
    )


def test_a_model_that_knows_the_rule_is_always_right(dataset):
    found = evaluation.evaluate_model(Successor(), read_split(dataset, "test")).metrics
    assert found["HR@5"] == found["MRR"] == found["unfiltered/MRR"] == 1.0


def test_popularity_by_hand(tmp_path):
    # Item 1 is on top of every list, then 2, 3 and 4; 5 and 6 tie.
    full = [[1, 2, 3], [4, 1, 2], [2, 6, 5], [1, 2, 3, 4, 5]]
    root = small_datasets.write_dataset(tmp_path / "tiny", full, num_items=6)
    model = Popularity([9, 8, 7, 6, 5, 5])
    test = read_split(spec.DatasetDir(root), "test")
    found = evaluation.evaluate_model(model, test).metrics
    # Left to rank: 3 4 5 6 | 2 3 5 6 | 1 3 4 5, the tie with 6 seen | 5 6.
    assert found["MRR"] == pytest.approx((1 + 1 + 1 / 4 + 1 / 2) / 4)
    # In the whole list: 3 | 2 | 5 tied with 6 | 5 tied with 6.
    expected = (1 / 3 + 1 / 2 + 1 / 6 + 1 / 6) / 4
    assert found["unfiltered/MRR"] == pytest.approx(expected)
    # The longest sequence is the head user (round(0.2 * 4) = 1) and the last quartile.
    assert found["head/MRR"] == found["length_q4/MRR"] == pytest.approx(1 / 2)


def test_vectors_come_back_in_the_order_of_the_users(dataset, monkeypatch):
    monkeypatch.setattr(encoding, "_BATCH", 7)
    sequences, model = read_split(dataset, "valid"), Successor()
    found = encoding.encode_users(model, sequences)
    last_ids = np.array([sequences.items(row)[-1] for row in range(len(sequences))])
    angles = (last_ids + 1) * (2 * np.pi / NUM_ITEMS)
    expected = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_model_is_traced_once_and_read_anew_every_time(dataset):
    model = Successor()
    valid, test = read_split(dataset, "valid"), read_split(dataset, "test")
    evaluation.evaluate_model(model, valid)
    before = encoding.encode_users(model, test)
    model.angle.assign(np.pi)
    after = encoding.encode_users(model, test)
    assert model.traces == 1
    np.testing.assert_allclose(after, -before, atol=1e-5)


def test_an_evaluated_model_can_be_freed(dataset):
    model = Successor()
    evaluation.evaluate_model(model, read_split(dataset, "valid"))
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_the_last_line_is_the_metrics_and_always_the_same(
    dataset, tmp_path, monkeypatch, capsys
):
    lines = []
    for _ in range(2):
        model = Popularity(np.arange(NUM_ITEMS) // 3)
        assert run_command(monkeypatch, dataset, model, tmp_path, "--sampled") == 0
        lines.append(capsys.readouterr().out.splitlines()[-1])
    assert lines[0] == lines[1]
    found = json.loads(lines[0])
    groups = "head tail length_q1 length_q2 length_q3 length_q4 unfiltered".split()
    groups += ["sampled_uniform_99", "sampled_popular_100"]
    names = "HR@5 HR@10 HR@20 NDCG@5 NDCG@10 NDCG@20 MRR".split()
    assert list(found) == names + [f"{g}/{n}" for g in groups for n in names]
    files = sorted((tmp_path / "evaluation").iterdir())
    assert [path.name for path in files] == ["test.json", "test_ranks.npz"]
    assert list(json.loads(files[0].read_text()).items()) == list(found.items())


def test_the_ranks_are_kept_in_order_of_user_id(tmp_path, monkeypatch, capsys):
    # As in `test_popularity_by_hand`; user-3 has the longest sequence.
    full = [[1, 2, 3], [4, 1, 2], [2, 6, 5], [1, 2, 3, 4, 5]]
    root = small_datasets.write_dataset(tmp_path / "tiny", full, num_items=6)
    dataset, model = spec.DatasetDir(root), Popularity([9, 8, 7, 6, 5, 5])
    (tmp_path / "run").mkdir()
    assert run_command(monkeypatch, dataset, model, tmp_path / "run") == 0
    with np.load(tmp_path / "run" / "evaluation" / "test_ranks.npz") as stored:
        assert stored["ranks"].tolist() == [1, 1, 4, 2]
        assert stored["ranks"].dtype == np.uint8
        assert stored["is_head"].tolist() == [False, False, False, True]


def test_the_table_shows_every_group_and_the_lists(
    dataset, tmp_path, monkeypatch, capsys
):
    flags = ("--split", "valid")
    assert run_command(monkeypatch, dataset, Successor(), tmp_path, *flags) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "valid, sequences split by leave_one_out"
    columns = "overall head tail length_q1 length_q2 length_q3 length_q4 unfiltered"
    assert lines[0].split() == columns.split()
    assert lines[1].split() == ["HR@5", *["1.0000"] * 8]
    # 60 users, round(0.2 * 60) = 12 of them head.
    assert lines[8].split() == "users 60 12 48 15 15 15 15 60".split()
    assert lines[9].startswith("coverage@20: 1.0000 of 40 items")
    assert lines[10].startswith("popularity bias@20: ")
    assert (tmp_path / "evaluation" / "valid.json").is_file()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(13, "denied"), 0),
        (OSError(30, "EROFS"), 0),
        (OSError(28, ""), 1),
    ],
)
def test_metrics_are_printed_before_they_are_written(
    dataset, tmp_path, monkeypatch, capsys, error, code
):
    def refuse(*arguments):
        raise error

    monkeypatch.setattr(evaluation, "write_evaluation", refuse)
    assert run_command(monkeypatch, dataset, Successor(), tmp_path) == code
    printed = capsys.readouterr()
    assert json.loads(printed.out.splitlines()[-1])["HR@5"] == 1.0
    assert printed.err.startswith("evaluate: not written: ")


def test_note_stands_before_the_metrics(tmp_path, monkeypatch, capsys):
    # The second user's target, 1, is in the history.
    root = small_datasets.write_dataset(tmp_path / "d", [[1, 2, 3], [1, 2, 1]], 4)
    dataset, model = spec.DatasetDir(root), Popularity([2, 2, 1, 1])
    assert run_command(monkeypatch, dataset, model, tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("note: 1 of 2 targets are in") for line in lines[:-1])
    assert run_command(monkeypatch, dataset, model, tmp_path, "--json") == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1 and "note: 1 of 2" in printed.err


def test_coverage_and_bias_of_recommending_the_popular():
    # Percentiles of 4 items counted 1, 2, 3, 4 are 1/8, 3/8, 5/8, 7/8.
    text = report.list_summary(
        np.array([[4, 3], [4, 3]]), np.array([1, 2]), np.array([1, 2, 3, 4])
    )
    assert "coverage@20: 0.5000 of 4 items" in text
    assert "bias@20: +0.5000" in text
    assert "recommended items 0.7500, of targets 0.2500" in text


def test_errors_are_one_line(dataset, tmp_path, capsys):
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for data, run_dir, message in (
        (tmp_path / "none", tmp_path, "does not exist"),
        (unfinished, tmp_path, "is not a finished dataset"),
        (dataset.root, tmp_path / "none", "run folder"),
        (dataset.root, unfinished, "is not a run folder"),
    ):
        command = ["--dataset", str(data), "--run_dir", str(run_dir)]
        assert evaluate_command.main(command) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and len(printed.err.splitlines()) == 1
        assert message in printed.err


def test_flags_are_not_abbreviated():
    with pytest.raises(SystemExit) as error:
        evaluate_command.parse_args(
            ["--dataset", "a", "--run_dir", "b", "--spl", "test"]
        )
    assert error.value.code == 2


def test_help_loads_neither_tensorflow_nor_keras():
    code = (
        "import sys; from s4rec_tf.evaluate import __main__ as command\n"
        "try: command.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def write_run(dataset, root, model_name):
    """A run folder with the checkpoint of an untrained model."""
    settings = configuration.from_flat({"model": model_name, "seed": 3})
    run = RunDir(root)
    run.begin(settings, dataset)
    keras.utils.set_random_seed(3)
    model = restore.build_model(settings, dataset.info())
    model.prepare(np.arange(NUM_ITEMS))
    checkpoints.write_checkpoint(run.best, model.weights, {})


@pytest.mark.slow
def test_a_run_of_another_process_gives_identical_bytes(dataset, tmp_path):
    write_run(dataset, tmp_path / "run", "s4rec")
    command = [sys.executable, "-m", "s4rec_tf.evaluate"]
    command += ["--dataset", str(dataset.root), "--run_dir", str(tmp_path / "run")]
    outputs = [
        subprocess.run(command, check=True, capture_output=True).stdout
        for _ in range(2)
    ]
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0].splitlines()[-1])["HR@20"] > 0


def test_a_run_without_a_checkpoint_is_one_line(dataset, tmp_path, capsys):
    write_run(dataset, tmp_path / "run", "popularity")
    RunDir(tmp_path / "run").best.unlink()
    command = ["--dataset", str(dataset.root), "--run_dir", str(tmp_path / "run")]
    assert evaluate_command.main(command) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    assert "there is no checkpoint" in printed.err
