"""A SavedModel's graph in a session, open to inputs of any shape.

TF Serving feeds what it is sent, and lets the operations judge the shape. Python's
session compares with the fed tensor's shape first. So a placeholder without a shape
stands for every input: in place of the graph's own placeholder, or, where the input is
another operation (TF1 graphs over tf.Example), in a second copy of the graph.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

Signatures = Mapping[str, meta_graph_pb2.SignatureDef]
Tensors = dict[str, tf.Tensor]


class Graph:
    """The tensors that signatures name, in a session whose graph was empty.

    Attributes:
        signatures: the definitions.
        feeds: the placeholders of inputs, by signature and input.
        fetches: the tensors of outputs, likewise; an initializer's output is none.
    """

    def __init__(
        self, session: tf.compat.v1.Session, path: Path, tags: Sequence[str]
    ) -> None:
        self._graph = session.graph
        loader = tf.compat.v1.saved_model.loader
        self._load = functools.partial(loader.load, session, list(tags), str(path))
        opened = self._placeholders(_declared_placeholders(path, tags))
        self.signatures: Signatures = dict(self._load(input_map=opened).signature_def)
        self.feeds: dict[str, Tensors] = {}
        self.fetches: dict[str, Tensors] = {}
        for name in self.signatures:
            self._open(name, opened)

    def _placeholders(self, dtypes: Mapping[str, int]) -> Tensors:
        with self._graph.as_default():
            return {
                name: tf.compat.v1.placeholder(dtype) for name, dtype in dtypes.items()
            }

    def _open(self, name: str, opened: Tensors) -> None:
        """Finds a signature's tensors; loads a copy if some are no placeholders."""
        signature, scope = self.signatures[name], ""
        dtypes = {info.name: info.dtype for info in signature.inputs.values()}
        inner = self._placeholders({n: d for n, d in dtypes.items() if n not in opened})
        if inner:
            scope = f"copy_{len(self.feeds)}"
            self._load(input_map={**opened, **inner}, import_scope=scope)
            scope += "/"
        feeds = {**opened, **inner}
        self.feeds[name] = {
            alias: feeds[info.name] for alias, info in signature.inputs.items()
        }
        self.fetches[name] = {
            alias: feeds[info.name]
            if info.name in feeds
            else self._graph.get_tensor_by_name(scope + info.name)
            for alias, info in signature.outputs.items()
            # An operation's name has no colon.
            if ":" in info.name
        }


def _declared_placeholders(path: Path, tags: Sequence[str]) -> dict[str, int]:
    """Dtypes of the inputs that are placeholders, by the tensor's name."""
    file = path / "saved_model.pb"
    if not file.is_file():
        # The loader's error names what is missing.
        return {}
    found = {}
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            kinds = {node.name: node.op for node in meta_graph.graph_def.node}
            for signature in meta_graph.signature_def.values():
                for info in signature.inputs.values():
                    kind = kinds.get(info.name.partition(":")[0])
                    if kind in ("Placeholder", "PlaceholderV2"):
                        found[info.name] = info.dtype
    return found
