"""Operations that a SavedModel can run: seen wherever they stand, refused by list."""

import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf import operations
from s4rec_tf.export import protocol
from tests.s4rec_tf.export import standin
from tests.s4rec_tf.export.test_write_version import write_again

VECTOR = tf.TensorSpec([None], tf.float32)


class Calls(tf.Module):
    """A signature that calls a function."""

    def __init__(self, function):
        super().__init__()
        self.weight = tf.Variable(1.0)
        self.function = function

    @tf.function(input_signature=[VECTOR])
    def call(self, x):
        return {"y": self.function(x) * self.weight}


def saved(folder, function):
    module = Calls(function)
    tf.saved_model.save(module, str(folder), signatures=module.call)
    return operations.reachable_operations(folder)


def reads(x):
    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), x.dtype)


def in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: reads(x), lambda: x)


def in_a_loop(x):
    return tf.while_loop(lambda y: tf.reduce_sum(y) < 9, lambda y: [reads(y)], [x])[0]


def in_a_mapped_function(x):
    return tf.map_fn(reads, x)


@pytest.mark.parametrize("where", [reads, in_a_branch, in_a_loop, in_a_mapped_function])
def test_operation_is_seen_wherever_it_stands(where, tmp_path):
    found = saved(tmp_path / "model", where)
    assert "ReadFile" in found & operations.REACHING_OUT


def test_python_is_seen(tmp_path):
    def calls_python(x):
        return tf.py_function(lambda y: y, [x], tf.float32)

    assert "EagerPyFunc" in saved(tmp_path / "model", calls_python)


def test_what_the_saver_writes_with_is_not_counted(tmp_path):
    found = saved(tmp_path / "model", tf.identity)
    assert "RestoreV2" in found and "SaveV2" not in found
    assert found <= operations.EXPORTED


def test_signature_that_saves_is_seen(tmp_path):
    def saves(x):
        tf.raw_ops.SaveV2(
            prefix="/tmp/x", tensor_names=["a"], shape_and_slices=[""], tensors=[x]
        )
        return x

    assert "SaveV2" in saved(tmp_path / "model", saves)


def test_initializer_of_a_graph_of_version_1_is_seen(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None])
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "model"))
        signature = tf.compat.v1.saved_model.predict_signature_def(
            {"x": x}, {"y": 2 * x}
        )
        writes = tf.io.write_file(str(tmp_path / "written"), "x")
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=writes
        )
        builder.save()
    assert "WriteFile" in operations.reachable_operations(tmp_path / "model")


def test_no_operation_is_on_both_lists():
    assert operations.EXPORTED & operations.REACHING_OUT == set()
    registered = {name for name in dir(tf.raw_ops) if name[0].isupper()}
    assert {"WriteFile", "PyFunc", "SaveV2"} <= operations.REACHING_OUT & registered


def test_export_of_a_model_that_reads_files_is_refused(tmp_path, tmp_path_factory):
    class Reading(standin.MeanRecommender):
        def user_vectors(self, item_ids):
            return reads(super().user_vectors(item_ids))

    exported = standin.export_once(tmp_path_factory)
    assert operations.reachable_operations(exported.version) <= operations.EXPORTED
    reading = Reading(np.asarray(exported.table))
    with pytest.raises(protocol.ExportError, match=r"Received: \['ReadFile'\]"):
        write_again(exported, tmp_path / "demo", model=reading)
    left = [path for path in (tmp_path / "demo").iterdir() if path.name[0] != "."]
    assert left == []
