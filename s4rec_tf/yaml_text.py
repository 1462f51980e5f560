"""YAML in which a key that stands twice is an error instead of the last one winning."""

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
                    f"the key {key.value!r} stands there twice",
                    key.start_mark,
                )
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """What a text says; JSON is YAML too.

    Raises:
        yaml.YAMLError: if it is no YAML, holds anything but plain values, or has a key
            twice in one mapping.
    """
    return yaml.load(text, _Loader)
