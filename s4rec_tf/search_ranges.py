"""Ranges that a search draws settings from, declared on the fields of settings.

A field with a range is written `dropout: float = numbers(0.5, low=0.1, high=0.7)`; its
default is the first argument, as without a range.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)
Value = TypeVar("Value", int, float, str, bool)

_KEY = "search"


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: the least; whole if only whole numbers are drawn.
        high: the greatest, of the same type.
        log: whether factors count, not differences.
    """

    low: float
    high: float
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Choices:
    """Values without an order that a search could use."""

    values: tuple[Any, ...]


SearchRange = Numbers | Choices


def numbers(default: Number, *, low: Number, high: Number, log: bool = False) -> Number:
    """A field of settings with a range of numbers."""
    metadata = {_KEY: Numbers(low, high, log)}
    field: Number = dataclasses.field(default=default, metadata=metadata)
    return field


def choices(default: Value, *values: Value) -> Value:
    """A field of settings with a few values to choose from."""
    metadata = {_KEY: Choices(values)}
    field: Value = dataclasses.field(default=default, metadata=metadata)
    return field


def ranges_of(settings: Any) -> dict[str, SearchRange]:
    """The ranges that a class of settings declares, by key, in the fields' order."""
    return {
        field.name: field.metadata[_KEY]
        for field in dataclasses.fields(settings)
        if _KEY in field.metadata
    }


def contains(declared: SearchRange, value: Any) -> bool:
    """Whether a range holds a value."""
    if isinstance(declared, Choices):
        return value in declared.values
    return bool(declared.low <= value <= declared.high)
