"""The calls, independent of the protocol that carries them."""

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

from serving import limits, metrics
from serving.servables.servable import Servable
from serving.status import StatusError, invalid_argument
from serving.versions.manager import VersionManager
from serving.versions.models import Models

SIGNATURE_DEF = "signature_def"
CLASSIFY, REGRESS = "classify", "regress"
_NOUNS = {CLASSIFY: "classification", REGRESS: "regression"}

Reload = Callable[[Any], Awaitable[None]]


class ModelApi:
    """What TF Serving's two services answer.

    Attributes:
        models: what is served.
    """

    def __init__(
        self, models: Models, max_batch_rows: int, reload: Reload | None = None
    ) -> None:
        """Takes the models, the most rows of a request, and what reloads a config.

        `reload` serves a ModelServerConfig or raises StatusError; None refuses it.
        """
        self.models = models
        self._max_batch_rows = max_batch_rows
        self._reload = reload

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Answers over gRPC by one signature of one version.

        Raises:
            StatusError: with TF Serving's codes.
        """
        with self.counted(request.model_spec.name, "Predict", "GRPC"):
            with self.lease(request) as servable:
                return self.answer(servable, request)

    def counted(
        self, model_name: str, api: str, entrypoint: str
    ) -> contextlib.AbstractContextManager[None]:
        """Counts the block as one request."""
        known = self.models.find(model_name) is not None
        return metrics.Request(model_name, known, api, entrypoint)

    def lease(self, request: Any) -> contextlib.AbstractContextManager[Servable]:
        """The version that a request asks for, kept loaded for the length of the block.

        Raises:
            StatusError: with TF Serving's codes.
        """
        manager, version = self._find(_model_spec(request))
        return manager.lease(version)

    def check(self, spec: model_pb2.ModelSpec) -> None:
        """Checks that what a spec names answers now, before more is read.

        Raises:
            StatusError: with TF Serving's codes.
        """
        manager, version = self._find(spec)
        with manager.lease(version):
            pass

    def answer(
        self, servable: Servable, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Answers by a leased version.

        Raises:
            StatusError: with TF Serving's codes.
        """
        self._check_rows(request)
        return servable.predict(request)

    def _check_rows(self, request: predict_pb2.PredictRequest) -> None:
        rows = max((_rows(proto) for proto in request.inputs.values()), default=0)
        if rows > self._max_batch_rows:
            raise invalid_argument(
                f"Task size {rows} is larger than maximum input batch size "
                f"{self._max_batch_rows}"
            )

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a version.

        Raises:
            StatusError: with TF Serving's codes.
        """
        if request.HasField("model_spec") and not request.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self.lease(request) as servable:
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
        manager = self.models.find(spec.name)
        known = manager.statuses() if manager else {}
        if not known:
            raise StatusError(
                StatusCode.NOT_FOUND,
                f"Could not find any versions of model {spec.name}",
            )
        version = _version(spec, manager) if manager else None
        if version is not None:
            if version not in known:
                raise StatusError(
                    StatusCode.NOT_FOUND,
                    f"Could not find version {version} of model {spec.name}",
                )
            known = {version: known[version]}
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, status in sorted(known.items(), reverse=True):
            entry = response.model_version_status.add(version=number)
            entry.state = int(status.state)
            entry.status.error_code = status.code.value[0]
            entry.status.error_message = status.message
        return response

    def refuse(self, method: str, request: Any) -> None:
        """Refuses `classify` or `regress` in TF Serving's order and words.

        Raises:
            StatusError: always: no signature of an export has such a method.
        """
        noun = _NOUNS[method]
        with self.lease(request) as servable:
            name = request.model_spec.signature_name or limits.DEFAULT_SIGNATURE
            if name not in servable.signatures:
                raise invalid_argument(f"No signature was found with the name: {name}")
            raise invalid_argument(
                f"Expected {noun} signature method_name to be "
                f"tensorflow/serving/{method}. "
                f"Was: {servable.signatures[name].method_name}"
            )

    def refuse_inference(self, request: Any) -> None:
        """Refuses MultiInference, whose tasks classify or regress.

        Raises:
            StatusError: always.
        """
        if not request.tasks:
            raise invalid_argument("ModelSpec has no name specified.")
        task = request.tasks[0]
        method = task.method_name.rpartition("/")[2]
        if task.method_name != f"tensorflow/serving/{method}" or method not in _NOUNS:
            raise StatusError(
                StatusCode.UNIMPLEMENTED,
                f"Unsupported signature method_name: {task.method_name}",
            )
        self.refuse(method, task)

    async def reload(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serves the models of another configuration.

        Raises:
            StatusError: UNIMPLEMENTED unless it is enabled; otherwise the reason, and
                nothing has changed if that is INVALID_ARGUMENT.
        """
        if self._reload is None:
            raise StatusError(
                StatusCode.UNIMPLEMENTED, "HandleReloadConfigRequest is not enabled"
            )
        await self._reload(request.config)
        return model_management_pb2.ReloadConfigResponse()

    def _find(self, spec: model_pb2.ModelSpec) -> tuple[VersionManager, int | None]:
        """The model a spec names, and its version; None for the newest.

        Raises:
            StatusError: INVALID_ARGUMENT without a model's name, NOT_FOUND for another
                model's.
        """
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        manager = self.models.find(spec.name)
        if manager is None:
            wanted = (
                f"Specific({spec.name}, {spec.version.value})"
                if spec.HasField("version")
                else f"Latest({spec.name})"
            )
            raise StatusError(
                StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}"
            )
        return manager, _version(spec, manager)


def _model_spec(request: Any) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec: model_pb2.ModelSpec = request.model_spec
    return spec


def _version(spec: model_pb2.ModelSpec, manager: VersionManager) -> int | None:
    if spec.version_label:
        return manager.labelled(spec.version_label)
    return spec.version.value if spec.HasField("version") else None


def _rows(proto: Any) -> int:
    dimensions = proto.tensor_shape.dim
    return int(dimensions[0].size) if dimensions else 0
