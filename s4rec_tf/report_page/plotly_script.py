"""Plotly's script, packed so that a page of one file stays small."""

from __future__ import annotations

import base64
import functools
import gzip
import importlib.resources

_LINE = 120


@functools.cache
def packed_script() -> str:
    """`plotly.min.js`, gzip in base64: 2 MB in place of 5; browsers unpack it."""
    path = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
    packed = gzip.compress(path.read_bytes(), 6, mtime=0)
    text = base64.b64encode(packed).decode()
    return "\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
