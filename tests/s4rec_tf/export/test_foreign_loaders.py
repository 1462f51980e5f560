"""The export answers where nothing of this project can be imported."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PYTHON_LOADER = """
import json, sys
try:
    import s4rec_tf
except ImportError:
    pass
else:
    sys.exit("the project must not be importable here")
import tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
for line in open(sys.argv[2], encoding="utf-8"):
    golden = json.loads(line)
    inputs = golden["inputs"]
    if golden["signature_name"] == "serving_examples":
        rows = []
        for row in inputs["examples"]:
            values = tf.train.BytesList(value=[v.encode() for v in row if v])
            feature = {"history": tf.train.Feature(bytes_list=values)}
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            rows.append(example.SerializeToString())
        inputs = {"examples": rows}
    inputs = {key: tf.constant(value) for key, value in inputs.items()}
    answer = signatures[golden["signature_name"]](**inputs)
    print(json.dumps({
        key: [[item.decode() for item in row] for row in value.numpy().tolist()]
        if value.dtype == tf.string else value.numpy().tolist()
        for key, value in answer.items()
    }))
keras = [m for m in sys.modules if m.split(".")[0] in ("keras", "tf_keras", "s4rec_tf")]
assert "s4rec_tf" not in keras
"""

C_LOADER = """
import ctypes, json, os, sys
site, path, history = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.append(site)
ctypes.CDLL(os.path.join(site, "tensorflow/libtensorflow_framework.so.2"),
            mode=ctypes.RTLD_GLOBAL)
tf = ctypes.CDLL(os.path.join(site, "tensorflow/libtensorflow_cc.so.2"))
for name in ("TF_NewStatus", "TF_NewSessionOptions", "TF_NewGraph", "TF_AllocateTensor",
             "TF_LoadSessionFromSavedModel", "TF_TensorData", "TF_GraphOperationByName",
             "TF_StringGetDataPointer", "TF_NewBuffer"):
    getattr(tf, name).restype = ctypes.c_void_p
tf.TF_Message.restype = ctypes.c_char_p
tf.TF_StringGetSize.restype = ctypes.c_size_t
tf.TF_Dim.restype = ctypes.c_int64
pointer = ctypes.c_void_p

class Output(ctypes.Structure):
    _fields_ = [("operation", pointer), ("index", ctypes.c_int)]

def check(status):
    if tf.TF_GetCode(pointer(status)):
        sys.exit("code %d %s" % (tf.TF_GetCode(pointer(status)),
                                 tf.TF_Message(pointer(status)).decode()))

status, graph = tf.TF_NewStatus(), tf.TF_NewGraph()
tags = (ctypes.c_char_p * 1)(b"serve")
session = tf.TF_LoadSessionFromSavedModel(
    pointer(tf.TF_NewSessionOptions()), None, path.encode(), tags, 1, pointer(graph),
    None, pointer(status))
check(status)
STRING = 7
dims = (ctypes.c_int64 * 2)(1, len(history))
feed = tf.TF_AllocateTensor(STRING, dims, 2, ctypes.c_size_t(24 * len(history)))
data = tf.TF_TensorData(pointer(feed))
for position, item in enumerate(history):
    cell = pointer(data + 24 * position)
    tf.TF_StringInit(cell)
    encoded = item.encode()
    tf.TF_StringCopy(cell, encoded, ctypes.c_size_t(len(encoded)))

def output(name):
    name, index = name.split(":")
    operation = tf.TF_GraphOperationByName(pointer(graph), name.encode())
    assert operation, name
    return Output(operation, int(index))

inputs = (Output * 1)(output(sys.argv[4]))
outputs = (Output * 2)(output(sys.argv[5]), output(sys.argv[6]))
feeds, fetches = (pointer * 1)(feed), (pointer * 2)()
tf.TF_SessionRun(pointer(session), None, inputs, feeds, 1, outputs, fetches, 2, None, 0,
                 None, pointer(status))
check(status)
count = tf.TF_Dim(pointer(fetches[0]), 1)
items, data = [], tf.TF_TensorData(pointer(fetches[0]))
for position in range(count):
    cell = pointer(data + 24 * position)
    items.append(ctypes.string_at(tf.TF_StringGetDataPointer(cell),
                                  tf.TF_StringGetSize(cell)).decode())
scores = (ctypes.c_float * count).from_address(tf.TF_TensorData(pointer(fetches[1])))
assert "tensorflow" not in sys.modules
print(json.dumps([items, list(scores)]))
"""


def run_elsewhere(script: str, *arguments: str, cwd: Path) -> str:
    """Runs a script with only the installed packages on its path."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", bare(script), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def bare(script: str) -> str:
    """An editable installation makes the project importable: take that away."""
    project = Path(__file__).parents[3]
    return (
        "import sys\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
        f"sys.path = [p for p in sys.path if p not in ('', {str(project)!r})]\n"
        + script
    )


@pytest.fixture(scope="module")
def golden(exported) -> Path:
    return exported.export_dir / ".meta" / "1" / "golden_requests.jsonl"


def lines_of(path: Path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_python_loader_answers_the_golden_requests(exported, golden, tmp_path):
    printed = run_elsewhere(
        PYTHON_LOADER, str(exported.version), str(golden), cwd=tmp_path
    )
    answers = [json.loads(line) for line in printed.splitlines()]
    expected = [line["outputs"] for line in lines_of(golden)]
    assert len(answers) == len(expected) == 14
    assert answers == expected


def test_c_loader_answers_the_golden_request(exported, golden, tmp_path):
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(
        (exported.version / "saved_model.pb").read_bytes()
    )
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    line = lines_of(golden)[0]
    assert line["signature_name"] == "serving_default"
    printed = run_elsewhere(
        C_LOADER,
        str(Path(tf.__file__).parents[1]),
        str(exported.version),
        json.dumps(line["inputs"]["history"][0]),
        signature.inputs["history"].name,
        signature.outputs["item_ids"].name,
        signature.outputs["scores"].name,
        cwd=tmp_path,
    )
    items, scores = json.loads(printed.splitlines()[-1])
    assert items == line["outputs"]["item_ids"][0]
    np.testing.assert_allclose(scores, line["outputs"]["scores"][0], rtol=1e-5)


def operations_of(version: Path) -> set[str]:
    """Names of the operations in a SavedModel, its functions' included."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(
        (version / "saved_model.pb").read_bytes()
    )
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    functions = {f.signature.name for f in graph.library.function}
    return {node.op for node in nodes} - functions


def operations_of_others(version: Path) -> set[str]:
    """Those that TensorFlow itself does not have."""
    from tensorflow.python.framework import op_def_registry

    return {
        name
        for name in operations_of(version)
        if ">" in name or op_def_registry.get(name) is None
    }


def test_c_loader_needs_no_operation_of_a_library(exported):
    """Every operation is TensorFlow's own, as any TensorFlow Serving has them."""
    assert operations_of_others(exported.version) == set()
    files = {"PyFunc", "EagerPyFunc", "WriteFile", "ReadFile"}
    assert not files & operations_of(exported.version)
