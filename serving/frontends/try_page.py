"""A page to try the models in a browser (`--ui`), which asks the REST API.

The page itself holds no data, so that a browser gets it without a token; whatever it
shows it asks for with the token that is typed in.
"""

from __future__ import annotations

import functools
import importlib.resources
import json

from aiohttp import web
from grpc import StatusCode

from s4rec_tf import spec
from serving.frontends.api import ModelApi
from serving.frontends.rest_api import Target
from serving.status import StatusError

ROOT = "/ui/"
_FILES = {
    "/ui": "html",
    "/ui/": "html",
    "/ui/page.css": "css",
    "/ui/page.js": "javascript",
}
_LISTS = {"items": spec.SERVED_ITEMS, "titles": spec.SERVED_TITLES}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def file(path: str) -> web.Response | None:
    """The page, its style or its script; None of any other path."""
    kind = _FILES.get(path)
    return text(_content(kind), kind) if kind else None


def text(content: bytes, kind: str = "plain") -> web.Response:
    """An answer that a browser takes for nothing else."""
    return web.Response(
        body=content, content_type=f"text/{kind}", charset="utf-8", headers=_HEADERS
    )


def data(api: ModelApi, path: str) -> bytes:
    """The models' names; or a version's items or titles, one a line, if it has any.

    The path of these is `/ui/items` or `/ui/titles` and that of the version's status.
    """
    what, _, rest = path.removeprefix(ROOT).partition("/")
    if what == "models" and not rest:
        return json.dumps(api.names()).encode()
    if what not in _LISTS:
        raise StatusError(StatusCode.NOT_FOUND, f"Not found: {path}")
    found = api.servable(Target("GET", f"/{rest}").spec).path / _LISTS[what]
    return found.read_bytes() if found.is_file() else b""


@functools.cache
def _content(kind: str) -> bytes:
    suffix = {"javascript": "js"}.get(kind, kind)
    folder = importlib.resources.files(__package__)
    return (folder / f"try_page.{suffix}").read_bytes()
