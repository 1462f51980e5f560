"""TF Serving's REST API: status, metadata and `:predict`; knows nothing of sockets."""

from __future__ import annotations

import inspect
import json
import re
import urllib.parse
from typing import Any

from google.protobuf import json_format
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from s4rec_tf import spec
from serving import limits
from serving.frontends.api import SIGNATURE_DEF, ModelApi
from serving.servables import json_tensors
from serving.status import StatusError, invalid_argument

_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_MODEL = (
    r"/v1/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
)
_POST = re.compile(_MODEL + r":(?P<method>classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(_MODEL + r"(?P<metadata>/metadata)?", re.IGNORECASE)
_PRINTS_DEFAULTS = (  # the second is protobuf 4's, which TensorFlow 2.16 is bound to
    "always_print_fields_with_no_presence",
    "including_default_value_fields",
)
_JSON_OPTIONS: dict[str, Any] = {
    "preserving_proto_field_name": True,
    **{
        name: True
        for name in inspect.signature(json_format.MessageToDict).parameters
        if name in _PRINTS_DEFAULTS
    },
}


class Target:
    """What a path names.

    Attributes:
        spec: the model and its version or label.
        method: `predict`, `classify` or `regress` of a POST; `metadata` or "" of a GET.
    """

    def __init__(self, http_method: str, path: str) -> None:
        """Reads a path, without its query.

        Raises:
            StatusError: NOT_FOUND outside of /v1/, INVALID_ARGUMENT within.
        """
        pattern = {"GET": _GET, "POST": _POST}.get(http_method)
        # Proxies may encode a colon; what is encoded in a name is part of it.
        decoded = urllib.parse.unquote(path)
        match = pattern and (pattern.fullmatch(path) or pattern.fullmatch(decoded))
        if not match:
            if not _API.fullmatch(decoded):
                raise StatusError(StatusCode.NOT_FOUND, f"Not found: {path}")
            raise invalid_argument(f"Malformed request: {http_method} {path}")
        self.spec = _spec_of(match)
        groups = match.groupdict()
        method = groups.get("method") or groups.get("metadata") or ""
        self.method = method.lower().lstrip("/")


class RestApi:
    """Answers targets and bodies by JSON."""

    def __init__(self, api: ModelApi) -> None:
        """Takes what answers."""
        self._api = api

    def get(self, target: Target) -> bytes:
        """Status or metadata of a model.

        Raises:
            StatusError: see `serving.status.HTTP_STATUS`.
        """
        if target.method:
            request = get_model_metadata_pb2.GetModelMetadataRequest()
            request.metadata_field.append(SIGNATURE_DEF)
            request.model_spec.CopyFrom(target.spec)
            return _dumped(_metadata_document(self._api.metadata(request)))
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.CopyFrom(target.spec)
        return _dumped(_to_dict(self._api.status(status)))

    def post(self, target: Target, body: bytes) -> bytes:
        """A prediction.

        Raises:
            StatusError: see `serving.status.HTTP_STATUS`.
        """
        if target.method != "predict":
            task = classification_pb2.ClassificationRequest()
            task.model_spec.CopyFrom(target.spec)
            json_tensors.parse(body)
            self._api.refuse(target.method, task)
        request = predict_pb2.PredictRequest()
        request.model_spec.CopyFrom(target.spec)
        return _dumped(self._predict(request, json_tensors.parse(body)))

    def _predict(
        self, request: predict_pb2.PredictRequest, document: dict[str, Any]
    ) -> dict[str, Any]:
        name = document.get("signature_name") or limits.DEFAULT_SIGNATURE
        request.model_spec.signature_name = _utf8(name)
        # One version for both steps, also when another one is swapped in between.
        with self._api.lease(request) as servable:
            if name not in servable.signatures:
                raise invalid_argument(
                    f'Serving signature name: "{name}" not found in signature def'
                )
            signature = servable.signatures[name]
            is_row_format = json_tensors.fill_inputs(
                document, signature, request, servable.paddings
            )
            response = self._api.answer(servable, request)
        return json_tensors.to_document(response, is_row_format)


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise invalid_argument("'signature_name' key must be valid UTF-8") from error
    return text


def _spec_of(match: re.Match[str]) -> model_pb2.ModelSpec:
    model = model_pb2.ModelSpec(name=urllib.parse.unquote(match["name"]))
    if match["version"]:
        version = spec.version_number(match["version"])
        if version is None:
            raise invalid_argument(
                f"Failed to convert version: {match['version'][:20]} to numeric."
            )
        model.version.value = version
    elif match["label"]:
        model.version_label = urllib.parse.unquote(match["label"])
    return model


def _dumped(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=True).encode()


def _to_dict(message: Any) -> dict[str, Any]:
    document: dict[str, Any] = json_format.MessageToDict(message, **_JSON_OPTIONS)
    return document


def _metadata_document(
    response: get_model_metadata_pb2.GetModelMetadataResponse,
) -> dict[str, Any]:
    definitions = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(definitions)
    return {
        "model_spec": _to_dict(response.model_spec),
        "metadata": {SIGNATURE_DEF: _to_dict(definitions)},
    }
