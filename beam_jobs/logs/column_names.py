"""Names that columns of users, items, times and ratings have in published logs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_TYPED = re.compile(r"(?P<name>[^:\s]+):(?:token|float|token_seq|float_seq)")
"""A column of RecBole's atomic files, such as "user_id:token"."""

_USERS = (
    *("user", "uid", "customer", "visitor", "member", "reviewer", "client", "account"),
    *("player", "listener", "reader", "person", "profile", "session", "sid"),
)
_ITEMS = (
    *("item", "iid", "product", "movie", "article", "book", "isbn", "parentasin"),
    *("asin", "sku", "stockcode", "video", "track", "song", "artist", "business"),
    *("venue", "poi", "location", "news", "game", "anime", "recipe", "content"),
)
_TIMES = (
    *("timestamp", "unixreviewtime", "unixtimestamp", "ts", "time", "datetime"),
    *("createdat", "eventtime", "dateadded", "utctime", "clicktime", "checkintime"),
    *("eventdate", "invoicedate", "tdat", "date", "day", "when", "at", "reviewtime"),
)
_RATINGS = ("rating", "overall", "stars", "score", "bookrating")
_SUFFIXES = ("", "id", "no", "num", "number", "key", "code", "hash")

ROLES = {"user": _USERS, "item": _ITEMS, "time": _TIMES, "rating": _RATINGS}


def untyped(name: str) -> str:
    """A column's name without the type that RecBole writes behind it.

    Example: "user_id:token" -> "user_id".
    """
    match = _TYPED.fullmatch(name.strip())
    return match["name"] if match else name.strip()


def is_typed_header(columns: Sequence[str]) -> bool:
    """Whether a row is the header of a RecBole file."""
    return len(columns) > 1 and all(_TYPED.fullmatch(c.strip()) for c in columns)


def find_role(
    names: Sequence[str], role: str, without: Collection[int] = ()
) -> int | None:
    """The position of the column that a role most likely has; None for none.

    Example: (["t_dat", "customer_id", "article_id"], "user") -> 1.

    Args:
        names: of the columns.
        role: one of `ROLES`.
        without: positions that are left out.
    """
    plain = [re.sub(r"[^a-z]", "", untyped(name).lower()) for name in names]
    suffixes = _SUFFIXES if role in ("user", "item") else ("",)
    for word in ROLES[role]:
        for suffix in suffixes:
            for position, name in enumerate(plain):
                if name == word + suffix and position not in without:
                    return position
    return None
