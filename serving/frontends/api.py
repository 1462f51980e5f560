"""The calls of TF Serving's two services, independent of the protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from grpc import StatusCode
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
)

from serving import metrics
from serving.servables.servable import Servable
from serving.status import StatusError, invalid
from serving.versions.manager import VersionManager, not_found
from serving.versions.models import Models

SIGNATURE_DEF = "signature_def"


class ModelApi:
    """The two services; `reload` serves a ModelServerConfig, where that is enabled."""

    def __init__(
        self, models: Models, reload: Callable[[Any], Awaitable[None]] | None = None
    ) -> None:
        self._models, self._reload = models, reload

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Answers over gRPC by one signature of one version."""
        with self.counted(request.model_spec.name, "Predict", "GRPC"):
            return self.servable(spec_of(request)).predict(request)

    def counted(
        self, model_name: str, api: str, entrypoint: str
    ) -> contextlib.AbstractContextManager[None]:
        """Counts a block as one request."""
        known = model_name if self._models.find(model_name) else ""
        return metrics.request(known, api, entrypoint)

    def names(self) -> list[str]:
        """The names of the models."""
        return list(self._models.serving_versions())

    def servable(self, spec: model_pb2.ModelSpec) -> Servable:
        """The version that a request names."""
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        manager = self._models.find(spec.name)
        if manager is None:
            number = spec.version.value if spec.HasField("version") else None
            raise not_found(spec.name, number)
        return manager.find(_version(spec, manager))

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a version."""
        if request.HasField("model_spec") and not request.metadata_field:
            raise invalid(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        definitions = get_model_metadata_pb2.SignatureDefMap()
        servable = self.servable(spec_of(request))
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = servable.version
        for name, definition in servable.signatures.items():
            definitions.signature_def[name].CopyFrom(definition)
        response.metadata[SIGNATURE_DEF].Pack(definitions)
        return response

    def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of one version or of all."""
        spec = spec_of(request)
        manager = self._models.find(spec.name)
        known = manager.statuses() if manager else {}
        wanted = _version(spec, manager) if manager and known else None
        if not known or wanted not in (None, *known):
            which = "any versions" if wanted is None else f"version {wanted}"
            raise StatusError(
                StatusCode.NOT_FOUND, f"Could not find {which} of model {spec.name}"
            )
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, status in sorted(known.items(), reverse=True):
            if wanted in (None, number):
                entry = response.model_version_status.add(version=number)
                entry.state = int(status.state)
                entry.status.error_code = status.code.value[0]
                entry.status.error_message = status.message
        return response

    async def reload(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serves the models of another configuration."""
        if self._reload is None:
            raise StatusError(
                StatusCode.UNIMPLEMENTED, "HandleReloadConfigRequest is not enabled"
            )
        await self._reload(request.config)
        return model_management_pb2.ReloadConfigResponse()


def spec_of(request: Any) -> model_pb2.ModelSpec:
    """The model that a request names."""
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


def _version(spec: model_pb2.ModelSpec, manager: VersionManager) -> int | None:
    if spec.version_label:
        return manager.labelled(spec.version_label)
    return spec.version.value if spec.HasField("version") else None
