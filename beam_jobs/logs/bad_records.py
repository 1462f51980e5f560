"""Entries of `bad_records/`: what a line was and why it is no action."""

from __future__ import annotations

import base64
import json

from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.reading import Record

KEPT_LINE_BYTES = 2000
"""Bytes of a bad line that are kept; the rest is cut."""


def bad_record_entry(name: str, record: Record, bad: BadRecord) -> str:
    """One line of `bad_records/`, a JSON object.

    Holds `file`, `offset` (of the first byte in the unpacked file), `line_number` where
    the file was read from its start, `reason`, `detail` and the line as `content`, or
    as `content_base64` where it is no UTF-8; `cut` says that only its start is kept.
    """
    line = record.content
    kept = line[:KEPT_LINE_BYTES]
    is_cut = len(kept) < len(line)
    entry: dict[str, object] = {"file": name, "offset": record.offset}
    if record.number is not None:
        entry["line_number"] = record.number
    entry["reason"] = bad.reason
    entry["detail"] = bad.detail.encode("utf-8", "backslashreplace").decode()
    try:
        # A character that the cut divides is no fault of the line.
        text = kept.decode("utf-8") if not is_cut else _without_half_character(kept)
        entry["content"] = text
    except UnicodeDecodeError:
        entry["content_base64"] = base64.b64encode(kept).decode()
    if is_cut:
        entry["cut"] = True
    return json.dumps(entry, ensure_ascii=False)


def _without_half_character(kept: bytes) -> str:
    for num_bytes in range(len(kept), len(kept) - 3, -1):
        try:
            return kept[:num_bytes].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return kept[: len(kept) - 3].decode("utf-8")
