"""Ids that stand for a missing user or item, as `--null_ids` names them."""

from __future__ import annotations

from collections.abc import Callable

from beam_jobs.logs.interactions import Interaction, checked_id

IdCheck = Callable[[object, str], str]
"""As `checked_id`."""


class MissingId(Exception):
    """A line has no user or no item; it is neither an action nor a bad record."""


def make_id_check(null_ids: tuple[str, ...]) -> IdCheck:
    """`checked_id`, which raises `MissingId` for the texts given, and for null."""
    if not null_ids:
        return checked_id
    missing = frozenset(null_ids)

    def present_id(value: object, field: str) -> str:
        if value is None or (isinstance(value, str) and value in missing):
            raise MissingId
        return checked_id(value, field)

    return present_id


def without_missing_ids(
    parse: Callable[[bytes], list[Interaction]],
) -> Callable[[bytes], list[Interaction]]:
    """A parser that gives no interaction for a line without a user or an item."""

    def parse_present(line: bytes) -> list[Interaction]:
        try:
            return parse(line)
        except MissingId:
            return []

    return parse_present
