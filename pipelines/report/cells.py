"""Cells of the report's tables, and names that its sections share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.report.groups import NONE

METRICS = ("HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20")
PAPER_METRICS = ("HR@5", "HR@20", "NDCG@5", "NDCG@20")
HEAD_TAIL = ("head", "tail")

Published = Mapping[str, Any]
"""A row of `published.yaml`."""


def published_number(value: float | None) -> str:
    """A published value, or the sign for none."""
    return NONE if value is None else f"{value:.4f}"
