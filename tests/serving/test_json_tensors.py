"""Answers in JSON; questions are in the acceptance suite."""

import json

import numpy as np
import pytest

from serving.servables import json_tensors
from serving.status import StatusError


def response(**outputs):
    return {
        name: value if isinstance(value, np.ndarray) else np.array(value, object)
        for name, value in outputs.items()
    }


def test_single_output_goes_without_its_name():
    built = response(x=np.asarray([[1, 2], [3, 4]], np.int32))
    assert json_tensors.to_document(built, True) == {"predictions": [[1, 2], [3, 4]]}
    assert json_tensors.to_document(built, False) == {"outputs": [[1, 2], [3, 4]]}


def test_floats_are_shortest_decimals_and_may_be_nan():
    built = response(x=np.asarray([0.2, 1e-8, np.nan, -np.inf], np.float32))
    text = json.dumps(json_tensors.to_document(built, False))
    assert text == '{"outputs": [0.2, 1e-08, NaN, -Infinity]}'


def test_bytes_are_encoded_where_the_name_says_so():
    built = response(image_bytes=[b"\xff\x00"], text=[b"a\xff"])
    document = json_tensors.to_document(built, True)
    assert document == {
        "predictions": [
            {"image_bytes": {"b64": "/wA="}, "text": "a\N{REPLACEMENT CHARACTER}"}
        ]
    }


def test_rows_need_one_number_of_them():
    with pytest.raises(StatusError, match="y has inconsistent batch size: 1 expecting"):
        json_tensors.to_document(response(x=[1, 2], y=[1]), True)
    with pytest.raises(StatusError, match="Tensor name: y has no shape information"):
        json_tensors.to_document(response(x=[1], y=3), True)


def test_no_rows_keep_their_type():
    built = response(x=np.zeros([0, 3], np.float32), y=np.zeros([0], object))
    assert json_tensors.to_document(built, True) == {"predictions": []}
