"""JSON texts of requests: standard, with NaN and Infinity, read in pieces if long."""

from __future__ import annotations

import json
import json.scanner
import math
import re
from typing import Any

from serving.status import invalid

_PIECE = 2**16
"""Characters that are read at once, about half a millisecond with the GIL held."""
_PATIENCE = 256
_ENDS = {"[": "],", "{": "},"}
_BLANKS = re.compile(r"[ \t\n\r]*")


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    decoder = _DECODER if len(body) <= _PIECE else _PATIENT
    try:
        document = decoder.decode(body.decode("utf-8"))
    except RecursionError as error:
        raise invalid("JSON Parse error: nested too deep") from error
    except ValueError as error:
        raise invalid(f"JSON Parse error: {_reason(error)}") from error
    if not isinstance(document, dict):
        raise invalid("JSON Value: Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid("'signature_name' key must be a string value.")
    return document


class _Patient(json.JSONDecoder):
    """Reads long arrays in pieces: the standard scanner holds the GIL to the end."""

    scan_once: Any
    parse_array: Any

    def __init__(self) -> None:
        super().__init__(parse_float=_finite)
        self._scan_at_once, self.parse_array = self.scan_once, self._array
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    def _array(self, opened: tuple[str, int], scan_once: Any) -> tuple[list[Any], int]:
        text, at = opened
        values: list[Any] = []
        at = _skip_blanks(text, at)
        if text[at : at + 1] == "]":
            return values, at + 1
        patience = _PATIENCE
        while True:
            try:
                value, at = scan_once(text, at)
            except StopIteration as error:
                raise json.JSONDecodeError("Expecting value", text, at) from error
            values.append(value)
            at = _skip_blanks(text, at)
            if text[at : at + 1] == "]":
                return values, at + 1
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
            at = _skip_blanks(text, at + 1)
            if len(values) >= patience:
                at = self._read_pieces(values, text, at)
                patience = 2 * len(values)

    def _read_pieces(self, values: list[Any], text: str, at: int) -> int:
        """Adds elements while they come in pieces; returns where the next one begins.

        A piece ends before a comma. If it is an array by itself, in brackets, then it
        is what the scanner would read.
        """
        while len(text) - at > _PIECE:
            mark = _ENDS.get(text[at], ",")
            if (found := text.rfind(mark, at, at + _PIECE)) < 0:
                break
            end = found + len(mark) - 1
            piece = f"[{text[at:end]}]"
            try:
                read, stop = self._scan_at_once(piece, 0)
            except (ValueError, StopIteration):
                break
            if not read or stop < len(piece):
                break
            values += read
            at = _skip_blanks(text, end + 1)
        return at


def _skip_blanks(text: str, at: int) -> int:
    return _BLANKS.match(text, at).end()  # type: ignore[union-attr]


def _finite(text: str) -> float:
    """A number with a fraction or an exponent; infinity is written otherwise."""
    value = float(text)
    if math.isinf(value):
        raise invalid("JSON Parse error: Number too big to be stored in double.")
    return value


_DECODER, _PATIENT = json.JSONDecoder(parse_float=_finite), _Patient()


def _reason(error: ValueError) -> str:
    # Not str(error): of a wrong byte it quotes the body.
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at offset: {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"invalid UTF-8 at offset: {error.start}"
    return "Invalid value."
