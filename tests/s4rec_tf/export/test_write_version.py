"""The files of an export folder, and that it appears whole or not at all."""

import json
import os
import re
import subprocess
import threading

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.export import graph, popularity, protocol, publish, write
from tests import forked
from tests.s4rec_tf.export import standin
from tests.s4rec_tf.export.standin import NUM_ITEMS


def write_again(exported, export_dir, **changes):
    settings = {"max_k": 5, "popularity": exported.counts, "card": {}, **changes}
    model = settings.pop("model", exported.model)
    dataset = settings.pop("dataset", exported.dataset)
    return write.write_version(model, dataset, export_dir, **settings)


def test_layout_and_digests(exported):
    version = exported.version
    assert version == exported.export_dir / "1"
    files = {
        p.relative_to(version).as_posix() for p in version.rglob("*") if p.is_file()
    }
    assert {
        "saved_model.pb",
        "variables/variables.index",
        "assets/item_vocab.txt",
        "assets.extra/tf_serving_warmup_requests",
    } <= files
    vocabulary = (version / "assets/item_vocab.txt").read_bytes()
    assert vocabulary == exported.dataset.item_vocab.read_bytes()
    meta = exported.export_dir / ".meta" / "1"
    manifest = json.loads((meta / "MANIFEST.json").read_text())
    assert manifest["format_version"] == 1
    assert manifest["model"] == "demo"
    assert manifest["version"] == 1
    blank = {"side": "right", "value": ""}
    assert manifest["padding"] == {
        "history": {"side": "left", "value": ""},
        "exclude": blank,
        "allow": blank,
    }
    assert manifest["dataset_fingerprint"] == exported.dataset.fingerprint()
    assert set(manifest["files"]) == files
    assert set(manifest["meta_files"]) == {"model_card.md", "golden_requests.jsonl"}
    for root, key in ((version, "files"), (meta, "meta_files")):
        for name, entry in manifest[key].items():
            done = subprocess.run(["sha256sum", root / name], capture_output=True)
            assert done.stdout.split()[0].decode() == entry["sha256"]
    assert os.listdir(exported.export_dir) and not list(
        exported.export_dir.glob(".incomplete*")
    )


def test_card_names_model_data_and_signatures(exported):
    text = (exported.export_dir / ".meta/1/model_card.md").read_text()
    for part in ("# demo, version 1", "| model | mean |", "recommend_with_history"):
        assert part in text
    assert exported.dataset.fingerprint() in text


def test_warmup_covers_every_signature_with_one_row_and_more(exported):
    from tensorflow_serving.apis import prediction_log_pb2

    path = exported.version / "assets.extra/tf_serving_warmup_requests"
    seen = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(
            record
        ).predict_log.request
        assert request.model_spec.name == "demo"
        rows = {tf.make_ndarray(value).shape[0] for value in request.inputs.values()}
        assert len(rows) == 1
        seen.setdefault(request.model_spec.signature_name, set()).update(rows)
    assert set(seen) == {
        "serving_default",
        "recommend",
        "recommend_with_history",
        "recommend_among",
        "similar_items",
        "explain",
        "serving_examples",
    }
    assert all(1 in rows and max(rows) > 1 for rows in seen.values())


def test_a_large_weight_stays_a_variable_and_answers_the_same(
    exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(graph, "_LARGEST_CONSTANT", exported.table.nbytes - 1)
    version = write_again(exported, tmp_path / "demo", max_k=standin.MAX_K)
    large, small = (tf.saved_model.load(str(v)) for v in (version, exported.version))
    assert [v.shape for v in large.model_variables] == [exported.table.shape]
    assert not small.model_variables
    history = tf.constant([[""] * 5 + ["item-9", "item-2", "item-30"]])
    answers = [
        loaded.signatures["serving_default"](history=history)
        for loaded in (large, small)
    ]
    for name, expected in answers[0].items():
        np.testing.assert_array_equal(answers[1][name], expected, err_msg=name)


def publish_empty(export_dir):
    with publish.new_version(export_dir) as staging:
        staging.model.mkdir()
    return staging.version_dir


def test_numbers_go_up_and_are_never_used_twice(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / ".meta" / "9").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    assert publish_empty(tmp_path) == tmp_path / "10"
    (tmp_path / "10").rmdir()
    assert publish_empty(tmp_path) == tmp_path / "11"


def test_max_k_is_cut_to_the_vocabulary(exported, tmp_path):
    version = write_again(exported, tmp_path / "demo", max_k=10_000)
    outputs = tf.saved_model.load(str(version)).signatures["serving_default"]
    assert outputs.structured_outputs["item_ids"].shape[1] == NUM_ITEMS


def test_failure_inside_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        with publish.new_version(tmp_path) as staging:
            staging.model.mkdir()
            (staging.model / "half").write_text("x")
            raise RuntimeError("stop")
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_leftover_of_a_killed_writer_is_removed(tmp_path):
    leftover = tmp_path / ".incomplete-1" / "model"
    leftover.mkdir(parents=True)
    publish_empty(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", ".meta", "1"}


def test_meta_is_there_before_the_version(tmp_path, monkeypatch):
    order = []
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: (order.append(str(b)), rename(a, b)))
    publish_empty(tmp_path)
    assert order == [str(tmp_path / ".meta" / "1"), str(tmp_path / "1")]


def test_two_writers_get_two_numbers(tmp_path):
    inside, go_on = threading.Event(), threading.Event()
    numbers = []

    def first():
        with publish.new_version(tmp_path) as staging:
            staging.model.mkdir()
            numbers.append(staging.number)
            inside.set()
            go_on.wait(10)

    def second():
        with publish.new_version(tmp_path) as staging:
            staging.model.mkdir()
            numbers.append(staging.number)

    one = threading.Thread(target=first)
    one.start()
    assert inside.wait(10)
    two = threading.Thread(target=second)
    two.start()
    two.join(0.3)
    assert two.is_alive(), "the second writer must wait for the first"
    go_on.set()
    one.join(10)
    two.join(10)
    assert numbers == [1, 2]


def test_vectors_that_are_not_finite_are_never_exported(exported, tmp_path):
    table = exported.table.copy()
    table[3, 0] = np.nan
    with pytest.raises(Exception, match="NaN"):
        write_again(exported, tmp_path / "x", model=standin.MeanRecommender(table))
    assert not (tmp_path / "x").exists()


class NanUsers(standin.MeanRecommender):
    def user_vectors(self, item_ids):
        return super().user_vectors(item_ids) * float("nan")


def test_scores_that_are_not_finite_are_never_exported(exported, tmp_path):
    with pytest.raises(protocol.ExportError, match="not finite"):
        write_again(exported, tmp_path / "x", model=NanUsers(exported.table))
    assert {path.name for path in (tmp_path / "x").iterdir()} == {".lock"}


def test_sizes_must_agree(exported, tmp_path):
    with pytest.raises(protocol.ExportError, match=r"60 items.*\(3,\)"):
        write_again(exported, tmp_path / "x", popularity=np.zeros(3, np.int64))
    with pytest.raises(protocol.ExportError, match="Received: 0"):
        write_again(exported, tmp_path / "x", max_k=0)
    model = standin.MeanRecommender(exported.table[:9])
    with pytest.raises(protocol.ExportError, match=r"model's 9 items\. Received: 60"):
        counts = exported.counts[:9]
        write_again(exported, tmp_path / "x", model=model, popularity=counts)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("item", ["item-5\r", "", "item-3"])
def test_item_that_cannot_be_served_is_named(exported, tmp_path, item):
    sequences = small_datasets.markov_sequences(5, NUM_ITEMS)
    root = small_datasets.write_dataset(tmp_path / "data", sequences, NUM_ITEMS)
    dataset = spec.DatasetDir(root)
    text = dataset.item_vocab.read_text().replace("item-5\n", f"{item}\n")
    dataset.item_vocab.write_bytes(text.encode())
    with pytest.raises(protocol.ExportError, match=f"line 5 .*{re.escape(repr(item))}"):
        write_again(exported, tmp_path / "x", dataset=dataset)


def test_training_counts_leave_out_the_last_two_actions(tmp_path):
    root = small_datasets.write_dataset(
        tmp_path / "d", [[1, 2, 1, 3, 3], [2, 3], [4, 1, 1]], 5
    )
    dataset = spec.DatasetDir(root)
    assert popularity.training_counts(dataset).tolist() == [2, 2, 1, 1, 0]
    assert popularity.all_counts(dataset).tolist() == [4, 2, 3, 1, 0]


def run_command(*arguments):
    return forked.run("s4rec_tf.export", *arguments)


def test_command_refuses_nonsense_with_one_line(tmp_path):
    common = ("--run_dir", tmp_path, "--export_dir", tmp_path / "x")
    done = run_command("--dataset", tmp_path / "none", *common)
    assert done.returncode == 1
    assert done.stderr.startswith("export: dataset folder")
    assert done.stderr.count("\n") == 1
    done = run_command("--dataset", tmp_path, *common, "--max_k", "0")
    assert done.returncode == 2 and "Received: 0" in done.stderr
    done = run_command("--dataset", tmp_path, *common, "--max", "3")
    assert done.returncode == 2 and "--max" in done.stderr


def test_a_name_that_no_server_looks_at_is_no_number(tmp_path):
    for name in ("92233720368547758080", "9" * 200, "x", "7"):
        (tmp_path / name).mkdir()
    assert publish.next_number(tmp_path) == 8
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(protocol.ExportError, match="at most 9223372036854775807"):
        publish.next_number(tmp_path)


def test_a_number_can_be_chosen_and_none_is_taken_twice(tmp_path):
    with publish.new_version(tmp_path, 5) as staging:
        staging.model.mkdir()
        assert staging.version_dir == tmp_path / "5"
    with (
        pytest.raises(protocol.ExportError, match=r"from 6, the next in .*Received: 5"),
        publish.new_version(tmp_path, 5),
    ):
        raise AssertionError("a taken number")
    assert publish.next_number(tmp_path) == 6
