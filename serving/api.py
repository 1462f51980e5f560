"""The three calls, independent of the protocol that carries them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from serving import contract
from serving.contract import Code, StatusError
from serving.servable import Servable
from serving.versions import VersionManager

SIGNATURE_DEF = "signature_def"


class ModelApi:
    """Predict, GetModelMetadata and GetModelStatus of one model.

    Attributes:
        versions: decides which version answers.
    """

    def __init__(self, versions: VersionManager, max_batch_rows: int) -> None:
        """Takes the versions and the most rows that a request may have."""
        self.versions = versions
        self._max_batch_rows = max_batch_rows

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Answers by one signature of one version.

        Raises:
            StatusError: with TF Serving's codes.
        """
        with self.lease(request) as servable:
            return self.answer(servable, request)

    @contextlib.contextmanager
    def lease(self, request: predict_pb2.PredictRequest) -> Iterator[Servable]:
        """The version that a request asks for, kept loaded for the length of the block.

        Raises:
            StatusError: with TF Serving's codes.
        """
        with self.versions.lease(self._version(request)) as servable:
            yield servable

    def answer(
        self, servable: Servable, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Answers by a leased version.

        Raises:
            StatusError: with TF Serving's codes.
        """
        rows = max((_rows(proto) for proto in request.inputs.values()), default=0)
        if rows > self._max_batch_rows:
            raise contract.invalid_argument(
                f"Task size {rows} is larger than maximum input batch size "
                f"{self._max_batch_rows}"
            )
        return servable.predict(request)

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a version.

        Raises:
            StatusError: with TF Serving's codes.
        """
        if request.HasField("model_spec") and not request.metadata_field:
            raise contract.invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise contract.invalid_argument(
                    f"Metadata field {field} is not supported"
                )
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self.versions.lease(self._version(request)) as servable:
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = servable.version
            definitions = get_model_metadata_pb2.SignatureDefMap()
            for name, definition in servable.signatures.items():
                definitions.signature_def[name].CopyFrom(definition)
        response.metadata[SIGNATURE_DEF].Pack(definitions)
        return response

    def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of one version or of all.

        Raises:
            StatusError: with TF Serving's codes.
        """
        spec = _model_spec(request)
        known = (
            self.versions.statuses() if spec.name == self.versions.model_name else {}
        )
        if not spec.HasField("version"):
            if not known:
                raise StatusError(
                    Code.NOT_FOUND, f"Could not find any versions of model {spec.name}"
                )
        elif spec.version.value not in known:
            raise StatusError(
                Code.NOT_FOUND,
                f"Could not find version {spec.version.value} of model {spec.name}",
            )
        else:
            known = {spec.version.value: known[spec.version.value]}
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, status in sorted(known.items(), reverse=True):
            entry = response.model_version_status.add(version=version)
            entry.state = int(status.state)
            entry.status.error_code = int(status.code)
            entry.status.error_message = status.message
        return response

    def _version(
        self,
        request: predict_pb2.PredictRequest
        | get_model_metadata_pb2.GetModelMetadataRequest,
    ) -> int | None:
        """The version a request names; None for the newest.

        Raises:
            StatusError: INVALID_ARGUMENT without a model's name, NOT_FOUND for another
                model's.
        """
        spec = _model_spec(request)
        if not spec.name:
            raise contract.invalid_argument("ModelSpec has no name specified.")
        version = spec.version.value if spec.HasField("version") else None
        if spec.name != self.versions.model_name:
            wanted = (
                f"Latest({spec.name})"
                if version is None
                else f"Specific({spec.name}, {version})"
            )
            raise StatusError(
                Code.NOT_FOUND, f"Servable not found for request: {wanted}"
            )
        return version


def _model_spec(request: object) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):  # type: ignore[attr-defined]
        raise contract.invalid_argument("Missing ModelSpec")
    spec: model_pb2.ModelSpec = request.model_spec  # type: ignore[attr-defined]
    if spec.version_label:
        raise contract.invalid_argument(
            f"Unrecognized servable version label: {spec.version_label}"
        )
    return spec


def _rows(proto: object) -> int:
    dimensions = proto.tensor_shape.dim  # type: ignore[attr-defined]
    return int(dimensions[0].size) if dimensions else 0
