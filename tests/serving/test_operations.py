"""Versions whose graph could reach out of the process are not loaded."""

import json

import pytest
import tensorflow as tf
from grpc import StatusCode

from serving.servables.servable import Servable
from serving.status import StatusError

VECTOR = tf.TensorSpec([None], tf.float32, name="x")


def saved(folder, function):
    module = tf.Module()
    module.call = tf.function(lambda x: {"y": function(x)}, input_signature=[VECTOR])
    tf.saved_model.save(module, str(folder), signatures=module.call)
    return folder


def test_version_that_writes_a_file_is_refused_before_it_can(tmp_path):
    victim = tmp_path / "written"

    def writes(x):
        with tf.control_dependencies([tf.io.write_file(str(victim), "x")]):
            return tf.identity(x)

    with pytest.raises(StatusError, match=r"Received: WriteFile$") as it:
        Servable(saved(tmp_path / "demo" / "1", writes))
    assert it.value.code is StatusCode.FAILED_PRECONDITION
    assert not victim.exists()


def with_manifest(version):
    meta = version.parent / ".meta" / version.name
    meta.mkdir(parents=True)
    (meta / "MANIFEST.json").write_text(json.dumps({"files": {}}))
    return version


def test_export_may_hold_the_operations_of_exports_alone(tmp_path):
    rare = saved(tmp_path / "demo" / "1", tf.math.bessel_i0e)
    Servable(rare)  # nobody says that it is an export of ours
    with pytest.raises(StatusError, match="Received: BesselI0e"):
        Servable(with_manifest(rare))
    usual = with_manifest(saved(tmp_path / "other" / "1", tf.math.tanh))
    Servable(usual)
