"""Small changes of a module's source, as Cosmic Ray makes them."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

_LEFT_OUT = re.compile(
    # Those that stop at a type's error, which says nothing of the tests; `|` and the
    # decorators stand for types and dataclasses here.
    r"core/(.*_(Bit\w+|LShift|RShift|Is|IsNot|Invert|UAdd)|.*_(Bit\w+|Is|IsNot)_\w+"
    r"|Variable\w+|RemoveDecorator|ExceptionReplacer)"
)


class Mutation(NamedTuple):
    """A change of one place.

    Attributes:
        operator: what is done, as Cosmic Ray names it.
        occurrence: the place, counted from 0.
        source: the module with the change.
    """

    operator: str
    occurrence: int
    source: str


def mutations_of(source: str) -> Iterator[Mutation]:
    """All changes of a module."""
    for name in sorted(operator_names()):
        if _LEFT_OUT.fullmatch(name):
            continue
        operator = get_operator(name)()
        for occurrence in itertools.count():
            changed = mutate_code(source, operator, occurrence)
            if changed is None:
                break
            yield Mutation(name.removeprefix("core/"), occurrence, changed)


def difference(source: str, mutation: Mutation) -> str:
    """The lines that a change takes away and adds."""
    lines = difflib.unified_diff(
        source.splitlines(), mutation.source.splitlines(), lineterm="", n=0
    )
    return "\n".join(line for line in lines if not line.startswith(("---", "+++")))
