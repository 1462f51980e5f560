"""Whether lines divided by blanks are a user and items each, or any other text.

Nothing in such a file says what it is, so that evidence is asked for: one line a user,
lines of several lengths, items that come again, and nothing that a table or prose has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from beam_jobs.logs.interactions import SECONDS_FROM
from beam_jobs.logs.time_kinds import MOST, PLAUSIBLE_TO_S, time_flags

_LEAST_REPEATED = 0.02
"""Share of actions whose item is another user's too, at least."""

_MARKS = ("{", ",", "::", '"')
_HEADER_WORDS = re.compile(
    r"(?:(?:user|session|customer|visitor|item|product|movie|article|track|book)"
    r"[ _-]?(?:id|ids|s|no|number)?|timestamp|time|date|datetime|rating|uid|iid|sid)",
    re.IGNORECASE,
)
_WORDS_OF_PROSE = frozenset(
    "the and of to for with from is are was were you your that this have has not but "
    "be by on in at as it we he she they our please dear an or if all will can "
    "der die das und nicht ist ein eine mit von zu auf les des une est pour dans que "
    "el los las por con para del una".split()
)
_LEAST_WORDS = 2
_MOST_SIGNS = 0.05
_MOST_WORDS = 0.1
_END_OF_SENTENCE = re.compile(r"[^\W\d_]{2,}[.!?;:)]")
_CODE = re.compile(r"[#%].*|//.*|.*[()<>;*\\].*")
_WEIGHTED = re.compile(r"\S+:\d+(?:\.\d+)?")
_DECIMAL = re.compile(r"-?\d*\.\d+(?:[eE][+-]?\d+)?")


def is_user_and_items(line: str) -> bool:
    """Whether a line may be a user and items, as far as it alone can tell."""
    return not any(mark in line for mark in _MARKS) and len(line.split()) >= 2


def doubt_sequences(lines: Sequence[str]) -> str | None:
    """Why lines are no sequences of items, or cannot be told to be; None if they are.

    Args:
        lines: the first lines of a file, none blank.
    """
    rows = [line.split() for line in lines if is_user_and_items(line)]
    if len(rows) <= 0.5 * len(lines):
        return "most lines are not a user and items divided by blanks"
    return (
        _doubt_header(rows)
        or _doubt_users(rows)
        or _doubt_lengths(lines, rows)
        or _doubt_items(rows)
        or _doubt_prose(rows)
        or _doubt_repeats(rows)
    )


def header_words(row: Sequence[str]) -> list[str]:
    """The words of a first line that name columns.

    Example: ["SessionId", "ItemId", "Time"] -> all three; ["u1", "a"] -> [].
    """
    return [word for word in row if _HEADER_WORDS.fullmatch(word)]


def _doubt_header(rows: Sequence[Sequence[str]]) -> str | None:
    words = header_words(rows[0])
    return f"the first line has words of a header: {' '.join(words)}" if words else None


def _doubt_users(rows: Sequence[Sequence[str]]) -> str | None:
    user, times = Counter(row[0] for row in rows).most_common(1)[0]
    if times > 1:
        return f"{user!r} begins {times} lines, and a user has one"
    return None


def _doubt_lengths(lines: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    lengths = Counter(map(len, rows))
    length, number = lengths.most_common(1)[0]
    if length == 2 and number == len(rows):
        return "every line holds one item, as in a table of pairs"
    # Below a header, or beside a few damaged lines, a table is still one.
    if len(rows) > 1 and number >= max(len(rows) - 1, MOST * len(rows)):
        return f"{number} of {len(rows)} lines have {length} columns, as a table has"
    tabs = Counter(line.count("\t") for line in lines)
    num_tabs, number = tabs.most_common(1)[0]
    if num_tabs > 1 and number > MOST * len(lines):
        return f"{number} of {len(lines)} lines have {num_tabs} tabs, as a table has"
    return None


def _doubt_items(rows: Sequence[Sequence[str]]) -> str | None:
    """Doubts items that are numbers of another kind, and columns of times."""
    for position in range(min(map(len, rows))):
        values = [row[position].strip("[]()'") for row in rows]
        if any(map(_is_date_like, values)) and time_flags(values) is not None:
            return f"column {position} has times: {values[0]}"
    items = [item for row in rows for item in row[1:]]
    for pattern, kind in ((_WEIGHTED, "item:weight pairs"), (_DECIMAL, "decimals")):
        if sum(bool(pattern.fullmatch(item)) for item in items) > 0.5 * len(items):
            return f"most items look like {kind}, such as {items[0]}"
    return None


def _is_date_like(text: str) -> bool:
    if text.isdecimal():
        return SECONDS_FROM <= int(text) < PLAUSIBLE_TO_S * 10**9
    return any(map(str.isdigit, text)) and any(sign in text for sign in "-/:.")


def _doubt_prose(rows: Sequence[Sequence[str]]) -> str | None:
    words = [word for row in rows for word in row]
    common = {word.lower() for word in words} & _WORDS_OF_PROSE
    ends = [word for word in words if _END_OF_SENTENCE.fullmatch(word)]
    if len(common) >= _LEAST_WORDS:
        return f"it has words of prose, {', '.join(sorted(common)[:5])}"
    if len(ends) > _MOST_SIGNS * len(words):
        return f"it has ends of sentences, {', '.join(ends[:3])}"
    code = [word for word in words if _CODE.fullmatch(word)]
    if len(code) > _MOST_SIGNS * len(words):
        return f"it has signs of code or comments, such as {code[0]}"
    items = [item for row in rows for item in row[1:]]
    signs = [item for item in items if not any(map(str.isalnum, item))]
    if len(signs) > _MOST_SIGNS * len(items):
        return f"many items are signs, such as {signs[0]!r}"
    plain = [item for item in items if _is_word(item)]
    if len(plain) > _MOST_WORDS * len(items):
        return f"many items are words, not ids, such as {', '.join(plain[:3])}"
    return None


def _is_word(text: str) -> bool:
    """Whether a text is a word; ids of letters alone have capitals within."""
    if text.lower() == text.upper():  # a script without capitals
        return len(text) > 1 and text.isalpha()
    is_written = text.islower() or text.istitle() or text.isupper()
    return len(text) > 2 and text.isalpha() and is_written


def _doubt_repeats(rows: Sequence[Sequence[str]]) -> str | None:
    if len(rows) == 1:
        return "one line shows no item that comes again"
    users_of = Counter(item for row in rows for item in set(row[1:]))
    items = [item for row in rows for item in row[1:]]
    repeated = sum(users_of[item] > 1 for item in items)
    if repeated > _LEAST_REPEATED * len(items):
        return None
    return f"of {len(items)} items, {repeated} are in another line too"
