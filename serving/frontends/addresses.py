"""Addresses to listen on, IPv4 and IPv6."""

from __future__ import annotations

import socket

from grpc import StatusCode

from serving.status import StatusError


def url_host(host: str) -> str:
    """An address as it is written before a port: an IPv6 one in brackets."""
    bare = host.strip("[]")
    return f"[{bare}]" if ":" in bare else bare


def bind(host: str, port: int, name: str, is_shared: bool = False) -> socket.socket:
    """A socket that is bound and does not listen yet; `name` is for the error."""
    bound = None
    try:
        found = socket.getaddrinfo(
            *(host.strip("[]"), port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        option = socket.SO_REUSEPORT if is_shared else socket.SO_REUSEADDR
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except (OSError, UnicodeError) as error:
        if bound is not None:
            bound.close()
        raise StatusError(
            StatusCode.UNAVAILABLE,
            f"cannot listen on {url_host(host)}:{port} ({name}): {error}",
        ) from error
    return bound
