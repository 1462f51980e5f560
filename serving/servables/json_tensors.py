"""TF Serving's JSON for Predict: row format `instances`, column format `inputs`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving.servables import json_values
from serving.servables.padding import Padding
from serving.servables.tensors import sizes_of
from serving.status import StatusError, invalid_argument


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body; NaN and Infinity are accepted.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8"), parse_float=_finite)
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deep") from error
    except ValueError as error:
        raise invalid_argument(f"JSON Parse error: {_reason(error)}") from error
    if not isinstance(document, dict):
        raise invalid_argument("JSON Value: Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid_argument("'signature_name' key must be a string value.")
    return document


def _finite(text: str) -> float:
    """A number with a fraction or an exponent; infinity is written otherwise."""
    value = float(text)
    if math.isinf(value):
        raise invalid_argument(
            "JSON Parse error: Number too big to be stored in double."
        )
    return value


def _reason(error: ValueError) -> str:
    # Not str(error): of a wrong byte it quotes the body.
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at offset: {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"invalid UTF-8 at offset: {error.start}"
    return "Invalid value."


def fill_inputs(
    document: dict[str, Any],
    signature: meta_graph_pb2.SignatureDef,
    request: predict_pb2.PredictRequest,
    paddings: Mapping[str, Padding] | None = None,
) -> bool:
    """Fills the request's inputs from the document.

    Args:
        document: as `parse` returns it.
        signature: whose inputs are wanted.
        request: gets them.
        paddings: how rows of an input may be lengthened, for the error texts.

    Returns:
        Whether the document is in row format.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if "instances" in document and "inputs" in document:
        raise invalid_argument(
            "Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    columns = {
        name: _Column(name, info, (paddings or {}).get(name))
        for name, info in signature.inputs.items()
    }
    if "instances" in document:
        _add_rows(columns, document["instances"])
    elif "inputs" in document:
        _add_columns(columns, document["inputs"])
    else:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    for name, column in columns.items():
        column.write(request.inputs[name])
    return "instances" in document


class _Column:
    """Values of one input, as they are read."""

    def __init__(
        self, name: str, info: meta_graph_pb2.TensorInfo, padding: Padding | None
    ) -> None:
        self._name, self._info, self._padding = name, info, padding
        self._leaves: list[Any] = []
        self._shape: list[int] | None = None
        self._num_rows: int | None = None

    def set(self, value: Any) -> None:
        """Takes the whole input."""
        try:
            self._shape = json_values.shape_of(value)
            self._leaves = json_values.leaves_of(value, self._shape)
        except StatusError as error:
            raise self._explained(error.message, sizes_of(self._info)) from error

    def add(self, row: int, value: Any, key: str) -> None:
        """Takes a row, of the shape of the first.

        Args:
            row: its number.
            value: scalar or nested lists.
            key: for error texts, where rows have names.
        """
        try:
            shape = json_values.shape_of(value)
            leaves = json_values.leaves_of(value, shape)
            if self._shape is None:
                self._shape = shape
            elif shape != self._shape:
                raise _shapes_differ(self._shape, shape)
        except StatusError as error:
            wanted = sizes_of(self._info)
            text = f"{_element(row, key)}. Error: INVALID_ARGUMENT: {error.message}"
            raise self._explained(text, wanted and wanted[1:], "A row of ") from error
        self._leaves += leaves
        self._num_rows = row + 1

    def write(self, proto: Any) -> None:
        """Fills the input of a request."""
        shape = self._shape or []
        if self._num_rows is not None:
            shape = [self._num_rows, *shape]
        try:
            json_values.to_proto(self._leaves, shape, self._info.dtype, proto)
        except StatusError as error:
            text = f"input {self._name}: {error.message}"
            raise StatusError(error.code, text) from error

    def _explained(
        self, text: str, wanted: list[int] | None, subject: str = ""
    ) -> StatusError:
        """The error, with what the model wants where that is known."""
        if wanted is not None:
            sizes = str(wanted).replace("-1", "any")
            text += f". {subject}{self._name} has the shape {sizes} here"
        if self._padding is not None:
            text += f"; shorter ones are {self._padding}"
        return invalid_argument(text)


def _shapes_differ(expected: list[int], received: list[int]) -> StatusError:
    size, other = math.prod(expected), math.prod(received)
    if size != other:
        return invalid_argument(f"Expecting tensor size: {size} but got: {other}")
    first, second = (str(shape).replace(" ", "") for shape in (expected, received))
    return invalid_argument(f"Expecting shape {first} but got: {second}")


def _element(row: int, key: str = "") -> str:
    named = f" key: {key}" if key else ""
    return f"Failed to process element: {row}{named} of 'instances' list"


def _add_rows(columns: dict[str, _Column], instances: Any) -> None:
    if not isinstance(instances, list):
        raise invalid_argument("Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid_argument("No values in 'instances' array")
    if _is_object(instances[0]):
        for number, row in enumerate(instances):
            _add_named_row(columns, number, row)
        return
    if len(columns) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    (column,) = columns.values() or (_no_inputs(),)
    for number, row in enumerate(instances):
        if _is_object(row):
            raise invalid_argument(
                f"Expecting value/list but got object at item {number} of input list"
            )
        column.add(number, row, "")


def _add_named_row(columns: dict[str, _Column], number: int, row: Any) -> None:
    if not _is_object(row):
        raise invalid_argument(
            f"Expecting object but got list at item {number} of input list"
        )
    for name, value in row.items():
        if name not in columns:
            raise invalid_argument(
                f"{_element(number, name)}. Error: INVALID_ARGUMENT: "
                f"JSON object: does not have named input: {name}"
            )
        columns[name].add(number, value, name)
    if len(row) < len(columns):
        raise invalid_argument(
            f"{_element(number)}. JSON object keys must be equal to: "
            f"{','.join(sorted(columns))}"
        )


def _add_columns(columns: dict[str, _Column], inputs: Any) -> None:
    if _is_object(inputs):
        for name in sorted(columns):
            if name not in inputs:
                raise invalid_argument(
                    f"Missing named input: {name} in 'inputs' object."
                )
            columns[name].set(inputs[name])
        return
    if len(columns) > 1:
        raise invalid_argument(
            "inputs is a plain value/list, but expecting an object as multiple "
            "input tensors required as per tensorinfo_map"
        )
    (column,) = columns.values() or (_no_inputs(),)
    column.set(inputs)


def _no_inputs() -> NoReturn:
    raise invalid_argument("Failed to get input map for the signature: it has no input")


def _is_object(value: Any) -> bool:
    """True for a JSON object that is not an encoded string."""
    return isinstance(value, dict) and not json_values.is_base64(value)


def to_document(
    response: predict_pb2.PredictResponse, is_row_format: bool
) -> dict[str, Any]:
    """The answer in the format of the question.

    A single output goes without its name. Strings are text, unless the output's name
    ends in `_bytes`.

    Raises:
        StatusError: INVALID_ARGUMENT if rows are asked for and outputs differ in them.
    """
    arrays = {
        name: tf.make_ndarray(proto) for name, proto in sorted(response.outputs.items())
    }
    if is_row_format:
        _check_rows({name: array.shape for name, array in arrays.items()})
    values = {name: json_values.to_json(name, array) for name, array in arrays.items()}
    key = "predictions" if is_row_format else "outputs"
    if len(values) == 1:
        return {key: next(iter(values.values()))}
    if not is_row_format:
        return {key: values}
    rows = zip(*values.values(), strict=True)
    return {key: [dict(zip(values, row, strict=True)) for row in rows]}


def _check_rows(shapes: dict[str, tuple[int, ...]]) -> None:
    expected = -1
    for name, shape in shapes.items():
        if not shape:
            raise invalid_argument(
                f"Tensor name: {name} has no shape information: a scalar has no rows, "
                "ask for it by 'inputs'"
            )
        if expected not in (-1, shape[0]):
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {shape[0]} "
                f"expecting: {expected}"
            )
        expected = shape[0]
