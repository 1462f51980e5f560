"""Versions that must never answer, and what is told of them."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving import metrics
from serving.servables.servable import Servable
from serving.servables.version_files import WARMUP_FILE
from serving.status import StatusError
from serving.versions.manager import VersionManager
from serving.versions.models import entries_of
from serving.versions.states import Policy
from tests.serving import inside
from tests.serving.test_lifecycle import remove_graph, truncate


def with_nan(folder):
    """A module that answers NaN to -1 and has finite weights."""

    class Root(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def root(self, x):
            return {"scores": tf.math.sqrt(x)}

    module = Root()
    tf.saved_model.save(module, str(folder), signatures=module.root)
    request = predict_pb2.PredictRequest()
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.asarray([-1], np.float32)))
    log = prediction_log_pb2.PredictLog(request=request)
    record = prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString()
    (folder / WARMUP_FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(folder / WARMUP_FILE)) as writer:
        writer.write(record)


def weight_of_nan(folder):
    class Root(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable([1.0, float("nan")])

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def root(self, x):
            return {"scores": x * self.weight[0]}

    module = Root()
    tf.saved_model.save(module, str(folder), signatures=module.root)


def copied(change):
    def make(folder, source):
        shutil.copytree(source, folder)
        change(folder)

    return make


def half(folder):
    """The first files of a version, as a stopped copy leaves them."""
    shutil.rmtree(folder / "variables")
    shutil.rmtree(folder / "assets")


def short_vocabulary(folder):
    """Lines that are still to come; no manifest says that they are missing."""
    vocabulary = folder / "assets" / "item_vocab.txt"
    vocabulary.write_bytes(vocabulary.read_bytes()[:100])


def broken_manifest(folder):
    manifest = folder.parent / ".meta" / folder.name / "MANIFEST.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"files": ')


BAD = {
    "manifest cut short": copied(broken_manifest),
    "half a vocabulary": copied(short_vocabulary),
    "truncated": copied(truncate),
    "no graph": copied(remove_graph),
    "half copied": copied(half),
    "answers NaN": lambda folder, _: with_nan(folder),
    "weight is NaN": lambda folder, _: weight_of_nan(folder),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_version_never_answers(case, tmp_path, served_export, caplog):
    caplog.set_level("WARNING")
    base = tmp_path / "demo"
    inside.link_versions(served_export.version, base, 1)
    versions = VersionManager(case, base, Servable, max_retries=0)
    versions.poll()
    assert versions.serving_version == 1
    BAD[case](base / "2", served_export.version)
    for _ in range(3):
        versions.poll()
    assert versions.available() == {1}
    assert versions.find().version == 1
    status = versions.statuses()[2]
    assert status.code is not StatusCode.OK
    assert str(base / "2") in status.message
    if "NaN" in case:
        assert "finite" in status.message
    assert f"version 2 of {case} cannot be loaded" in caplog.text
    rejected = ":s4rec:serving:rejected_version_count"
    labels = f'model_name="{case}",reason="{status.code.name}",version="2"'
    assert f"{rejected}{{{labels}}} 1.0" in metrics.page().splitlines()
    versions.stop()


def test_more_than_a_thousand_warmup_records_are_a_load_error(tmp_path, served_export):
    folder = tmp_path / "1"
    shutil.copytree(served_export.version, folder)
    record = prediction_log_pb2.PredictionLog().SerializeToString()
    with tf.io.TFRecordWriter(str(folder / WARMUP_FILE)) as writer:
        for _ in range(1001):
            writer.write(record)
    with pytest.raises(StatusError, match="1000 warm-up records at most") as caught:
        Servable(folder)
    assert caught.value.code is StatusCode.INVALID_ARGUMENT


class Fake:
    def __init__(self, path):
        self.version = int(path.name)


def served(tmp_path, policy, *numbers):
    for number in numbers:
        (tmp_path / str(number)).mkdir(exist_ok=True)
    versions = VersionManager("demo", tmp_path, Fake, policy=policy)
    versions.poll()
    return versions


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(), {9}),
        (Policy(newest=2), {7, 9}),
        (Policy(newest=None), {1, 3, 7, 9}),
        (Policy(newest=None, only=frozenset([1, 7, 8])), {1, 7}),
    ],
)
def test_policies(tmp_path, policy, expected):
    versions = served(tmp_path, policy, 1, 3, 7, 9)
    assert versions.available() == expected
    assert versions.serving_version == max(expected)


def test_another_policy_unloads_what_is_no_longer_wanted(tmp_path):
    versions = served(tmp_path, Policy(newest=None), 1, 2)
    versions.policy = Policy()
    versions.poll()
    assert versions.available() == {2}
    # Rather an unwanted version than none.
    versions.policy = Policy(newest=None, only=frozenset([8]))
    versions.poll()
    assert versions.available() == {2}


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", Policy(newest=1)),
        ("model_version_policy { latest { num_versions: 3 } }", Policy(newest=3)),
        ("model_version_policy { latest {} }", Policy(newest=1)),
        ("model_version_policy { all {} }", Policy(newest=None)),
        (
            "model_version_policy { specific { versions: 4 versions: 2 } }",
            Policy(newest=None, only=frozenset([2, 4])),
        ),
    ],
)
def test_policies_of_a_configuration(text, policy):
    request = inside.reload_request(("demo", "/base", text))
    (entry,) = entries_of(request.config)
    assert entry.policy == policy


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (("demo", "", ""), "needs a name and a base_path"),
        (("demo", "/b", "model_version_policy { specific {} }"), "no specific version"),
    ],
)
def test_wrong_configurations_are_refused(model, reason):
    with pytest.raises(StatusError, match=reason):
        entries_of(inside.reload_request(model).config)
