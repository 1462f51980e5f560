"""A SavedModel's graph in a session, open to inputs of any shape.

TF Serving feeds what it is sent, and lets the operations judge the shape. Python's
session compares with the fed tensor's shape first. So every input is a placeholder
without a shape. It replaces the graph's placeholder; where the input is another
operation (TF1 graphs over tf.Example), it precedes a copy of what follows that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

Signatures = Mapping[str, meta_graph_pb2.SignatureDef]
Tensors = dict[str, tf.Tensor]


class Graph:
    """The tensors that signatures name, in a session whose graph was empty."""

    def __init__(
        self, session: tf.compat.v1.Session, path: Path, tags: Sequence[str]
    ) -> None:
        self._graph = session.graph
        with self._graph.as_default():
            opened = {
                name: tf.compat.v1.placeholder(dtype)
                for name, dtype in _declared_placeholders(path, tags).items()
            }
        meta_graph = tf.compat.v1.saved_model.loader.load(
            session, list(tags), str(path), input_map=opened
        )
        self.signatures: Signatures = dict(meta_graph.signature_def)
        self._feeds: dict[str, Tensors] = {}
        self._fetches: dict[str, Tensors] = {}
        with self._graph.as_default():
            for name in self.signatures:
                self._open(name, opened)

    def feed(self, signature: str, alias: str) -> tf.Tensor:
        """The placeholder of an input."""
        return self._feeds[signature][alias]

    def fetch(self, signature: str, alias: str) -> tf.Tensor:
        """The tensor of an output; KeyError if it is none, as of an initializer."""
        return self._fetches[signature][alias]

    def _open(self, name: str, opened: Tensors) -> None:
        signature = self.signatures[name]
        inside = {
            info.name: tf.compat.v1.placeholder(info.dtype)
            for info in signature.inputs.values()
            if info.name not in opened
        }
        feeds = {**opened, **inside}
        self._feeds[name] = {
            alias: feeds[info.name] for alias, info in signature.inputs.items()
        }
        ends = {
            alias: feeds[info.name]
            if info.name in feeds
            else self._graph.get_tensor_by_name(info.name)
            for alias, info in signature.outputs.items()
            # An operation's name has no colon.
            if ":" in info.name
        }
        self._fetches[name] = _after(self._graph, inside, ends) if inside else ends


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


def _after(graph: tf.Graph, starts: Tensors, ends: Tensors) -> Tensors:
    """The ends, as a copy of the operations between makes them.

    `starts` are replacements for tensors of the graph, by their names.
    """
    path = _between([graph.get_tensor_by_name(name) for name in starts], ends.values())
    part = tf.compat.v1.GraphDef(versions=graph.graph_def_versions)
    sources: dict[str, tf.Tensor | tf.Operation] = {}
    for op in path:
        node = part.node.add()
        node.CopyFrom(op.node_def)
        # The operation that it is placed beside may not be copied.
        node.attr.pop("_class", None)
        for tensor in op.inputs:
            if tensor.name in starts or tensor.op not in path:
                sources[tensor.name] = starts.get(tensor.name, tensor)
        sources.update({f"^{c.name}": c for c in op.control_inputs if c not in path})
    copied = [alias for alias, tensor in ends.items() if tensor.op in path]
    results = tf.import_graph_def(
        part, input_map=sources, return_elements=[ends[alias].name for alias in copied]
    )
    return {**ends, **dict(zip(copied, results, strict=True))}


def _between(
    starts: Iterable[tf.Tensor], ends: Iterable[tf.Tensor]
) -> set[tf.Operation]:
    """The operations that depend on a start and on which an end depends."""
    users = [op for start in starts for op in start.consumers()]
    after = _reached(users, lambda op: [u for o in op.outputs for u in o.consumers()])
    makers = [end.op for end in ends]
    return after & _reached(makers, lambda op: [tensor.op for tensor in op.inputs])


def _reached(
    waiting: list[tf.Operation], follow: Callable[[tf.Operation], list[tf.Operation]]
) -> set[tf.Operation]:
    found: set[tf.Operation] = set()
    while waiting:
        if (op := waiting.pop()) not in found:
            found.add(op)
            waiting += follow(op)
    return found
