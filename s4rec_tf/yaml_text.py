"""YAML in which a duplicate key is an error; the YAML library keeps the last."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Refuses a mapping with equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        keys = [key for key, _ in node.value]
        names = [(key.tag, key.value) for key in keys]
        for number, key in enumerate(keys):
            if names[number] in names[:number]:
                raise yaml.constructor.ConstructorError(
                    "while reading a mapping",
                    node.start_mark,
                    f"the key {key.value!r} is there twice",
                    key.start_mark,
                )
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """Parses YAML; JSON is YAML too.

    Raises:
        yaml.YAMLError: if it is no YAML, holds anything but plain values, or has a key
            twice in one mapping.
    """
    return yaml.load(text, _Loader)
