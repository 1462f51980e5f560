"""The client's own messages against the generated ones of TensorFlow Serving."""

import subprocess
import sys

import pytest
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from serving import client
from serving.client import __main__ as command
from serving.client import messages
from serving.client import wire_pb2 as wire


def test_request_reads_as_tensorflow_serving_reads_it():
    ours = wire.PredictRequest(output_filter=["a", "b"])
    ours.model_spec.name = "demo"
    ours.model_spec.signature_name = "recommend"
    ours.model_spec.version.value = 7
    strings = ours.inputs["history"]
    strings.dtype = wire.DT_STRING
    strings.tensor_shape.dim.add(size=1)
    strings.tensor_shape.dim.add(size=2)
    strings.string_val.extend([b"", b"\xff"])
    ours.inputs["k"].CopyFrom(wire.Tensor(dtype=wire.DT_INT32, int_val=[-3, 2**31 - 1]))
    theirs = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
    assert list(theirs.output_filter) == ["a", "b"]
    assert theirs.model_spec.name == "demo"
    assert theirs.model_spec.signature_name == "recommend"
    assert theirs.model_spec.version.value == 7
    assert theirs.inputs["history"].dtype == 7
    assert [d.size for d in theirs.inputs["history"].tensor_shape.dim] == [1, 2]
    assert list(theirs.inputs["history"].string_val) == [b"", b"\xff"]
    assert list(theirs.inputs["k"].int_val) == [-3, 2**31 - 1]


def response(as_content):
    import numpy as np

    theirs = predict_pb2.PredictResponse()
    theirs.model_spec.version.value = 9
    theirs.outputs["item_ids"].string_val.extend([b"a", b"b", b""])
    if as_content:
        scores = np.asarray([1.5, -2, -3e38], "<f4").tobytes()
        theirs.outputs["scores"].tensor_content = scores
        theirs.outputs["is_fallback"].tensor_content = b"\1"
    else:
        theirs.outputs["scores"].float_val.extend([1.5, -2, -3e38])
        theirs.outputs["is_fallback"].bool_val.append(True)
    return theirs


@pytest.mark.parametrize("as_content", [True, False])
def test_answer_is_read_in_either_encoding(as_content):
    body = response(as_content).SerializeToString()
    answer = messages.to_recommendations(wire.PredictResponse.FromString(body))
    assert answer.items == [("a", 1.5), ("b", -2.0)]
    assert answer.is_fallback is True
    assert answer.version == 9


def test_answer_of_another_model_is_refused():
    theirs = predict_pb2.PredictResponse()
    theirs.outputs["predictions"].float_val.append(1)
    body = theirs.SerializeToString()
    with pytest.raises(client.QueryError, match="is_fallback, item_ids, scores"):
        messages.to_recommendations(wire.PredictResponse.FromString(body))


def test_metadata_reads_alike():
    definitions = get_model_metadata_pb2.SignatureDefMap()
    info = definitions.signature_def["recommend"].inputs["history"]
    info.name, info.dtype = "history:0", 7
    info.tensor_shape.dim.add(size=-1)
    info.tensor_shape.dim.add(size=50)
    theirs = get_model_metadata_pb2.GetModelMetadataResponse()
    theirs.metadata["signature_def"].Pack(definitions)
    ours = wire.MetadataResponse.FromString(theirs.SerializeToString())
    value = ours.metadata["signature_def"].value
    signature = wire.SignatureDefMap.FromString(value).signature_def["recommend"]
    shape = signature.inputs["history"].tensor_shape
    assert [dim.size for dim in shape.dim] == [-1, 50]


def is_repeated(field):
    """By the name of protobuf 6, or that of protobuf 4."""
    if hasattr(field, "is_repeated"):
        return field.is_repeated
    return field.label == field.LABEL_REPEATED


def test_numbers_of_the_tensor_fields():
    fields = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name
    for field in wire.Tensor.DESCRIPTOR.fields:
        assert fields[field.name].number == field.number
        assert is_repeated(fields[field.name]) == is_repeated(field)


def test_client_imports_no_tensorflow():
    script = "import serving.client, sys; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr


def test_unreachable_server_is_one_line(capsys):
    flags = ["--target", "127.0.0.1:1", "--model_name", "x", "--history", "a"]
    assert command.main(flags) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("query: 127.0.0.1:1: UNAVAILABLE")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "flags", [["--k", "0"], ["--k", "x"], ["--timeout", "0"], ["--his", "a"], []]
)
def test_wrong_flags_are_usage_errors(flags, capsys):
    common = ["--target", "127.0.0.1:1", "--model_name", "x"]
    with pytest.raises(SystemExit) as caught:
        command.main([*common, *(["--history", "a"] if flags else []), *flags])
    assert caught.value.code == 2
