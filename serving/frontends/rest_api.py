"""TF Serving's REST API, independent of HTTP: status, metadata and `:predict`."""

from __future__ import annotations

import inspect
import json
import re
import urllib.parse
from typing import Any

from google.protobuf import json_format
from grpc import StatusCode
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
)

from s4rec_tf import spec
from serving import limits
from serving.frontends.api import SIGNATURE_DEF, ModelApi
from serving.servables import json_tensors, json_text
from serving.status import StatusError, invalid

_API = re.compile(r"/v1/.*", re.I | re.DOTALL)
_MODEL = (
    r"/v1/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
)
_TARGETS = {
    "GET": re.compile(rf"{_MODEL}(?:/(?P<method>metadata))?", re.I),
    "POST": re.compile(rf"{_MODEL}:(?P<method>classify|regress|predict)", re.I),
}
# The second is protobuf 4's name, which TensorFlow 2.16 is bound to.
_DEFAULTS = {"always_print_fields_with_no_presence", "including_default_value_fields"}
_KNOWN = inspect.signature(json_format.MessageToDict).parameters
_PRINT_DEFAULTS: Any = dict.fromkeys(_DEFAULTS & set(_KNOWN), True)


class Target:
    """The meaning of a path.

    Attributes:
        spec: the model and its version or label.
        method: `predict` of a POST; `metadata` or "" of a GET.
    """

    def __init__(self, http_method: str, path: str) -> None:
        pattern = _TARGETS.get(http_method)
        # Proxies may encode a colon; other characters of a name stay encoded till last.
        decoded = urllib.parse.unquote(path)
        match = pattern and (pattern.fullmatch(path) or pattern.fullmatch(decoded))
        if not match:
            if not _API.fullmatch(decoded):
                raise StatusError(StatusCode.NOT_FOUND, f"Not found: {path}")
            raise invalid(f"Malformed request: {http_method} {path}")
        self.method = (match["method"] or "").lower()
        if self.method in ("classify", "regress"):
            text = f"{self.method} is not there: ask by :predict"
            raise StatusError(StatusCode.UNIMPLEMENTED, text)
        self.spec = model_pb2.ModelSpec(name=urllib.parse.unquote(match["name"]))
        if match["version"]:
            version = spec.version_number(match["version"])
            if version is None:
                raise invalid(
                    f"Failed to convert version: {match['version'][:20]} to numeric."
                )
            self.spec.version.value = version
        elif match["label"]:
            self.spec.version_label = urllib.parse.unquote(match["label"])


class RestApi:
    """Answers targets and bodies by JSON."""

    def __init__(self, api: ModelApi) -> None:
        self._api = api

    def get(self, target: Target) -> bytes:
        """Status or metadata of a model."""
        if not target.method:
            status = get_model_status_pb2.GetModelStatusRequest(model_spec=target.spec)
            return _dumped(_to_dict(self._api.status(status)))
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=target.spec, metadata_field=[SIGNATURE_DEF]
        )
        document = _to_dict(self._api.metadata(request))
        del document["metadata"][SIGNATURE_DEF]["@type"]
        return _dumped(document)

    def post(self, target: Target, body: bytes) -> bytes:
        """A prediction."""
        document = json_text.parse(body)
        name = document.get("signature_name") or limits.DEFAULT_SIGNATURE
        servable = self._api.servable(target.spec)
        if name not in servable.signatures:
            text = name.encode("utf-8", "replace").decode()
            raise invalid(
                f'Serving signature name: "{text}" not found in signature def'
            )
        inputs = servable.signatures[name].inputs
        arrays = json_tensors.to_arrays(document, inputs, servable.paddings)
        outputs = servable.run(name, arrays)
        return _dumped(json_tensors.to_document(outputs, "instances" in document))


def _dumped(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _to_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, **_PRINT_DEFAULTS
    )
