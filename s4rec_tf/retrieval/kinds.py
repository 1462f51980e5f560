"""Kinds of the retrieval index by name; imports nothing heavy, for `--help`.

Which to take, and what each costs: docs/serving_performance.md.
"""

from __future__ import annotations

import dataclasses

TABLE_DTYPES = {
    "grouped": ("float32",),
    "exact": ("float32",),
    "streaming": ("float32", "bfloat16", "int8"),
    "scann": ("float32", "int8"),
}
"""The dtypes that an index of each kind can hold its vectors in."""

CUSTOM_OPS = ("scann",)
"""Kinds whose SavedModel needs the operations of the package of that name."""


class RetrievalError(RuntimeError):
    """An index that cannot be built: wrong environment, wrong vectors, wrong kind."""


@dataclasses.dataclass(frozen=True)
class IndexKind:
    """Kind of index and type of its table.

    Attributes:
        name: a key of `TABLE_DTYPES`.
        table_dtype: how the vectors are stored, one of those that the kind takes.

    Raises:
        RetrievalError: if there is no such kind or it cannot hold the dtype.
    """

    name: str = "grouped"
    table_dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.name not in TABLE_DTYPES:
            raise RetrievalError(
                f"`index` must be one of {', '.join(TABLE_DTYPES)}. "
                f"Received: {self.name!r}"
            )
        if self.table_dtype not in TABLE_DTYPES[self.name]:
            raise RetrievalError(
                f"`table_dtype` of the index {self.name} must be one of "
                f"{', '.join(TABLE_DTYPES[self.name])}. Received: {self.table_dtype!r}"
            )


DEFAULT = IndexKind()
"""Exact, by one product over float32 vectors."""


def all_dtypes() -> tuple[str, ...]:
    """Every dtype that some kind takes."""
    return tuple(dict.fromkeys(dtype for own in TABLE_DTYPES.values() for dtype in own))
