"""Addresses to listen on, IPv4 and IPv6."""

from __future__ import annotations

import socket

from grpc import StatusCode

from serving.status import StatusError


def url_host(host: str) -> str:
    """An address as it stands before a port: an IPv6 one in brackets."""
    bare = host.strip("[]")
    return f"[{bare}]" if ":" in bare else bare


def bind(host: str, port: int, name: str) -> socket.socket:
    """A socket that is bound and does not listen.

    Args:
        host: name or address, an IPv6 one with or without brackets.
        port: 0 for any free one.
        name: of what will listen, for the error.

    Raises:
        StatusError: UNAVAILABLE if the address cannot be had.
    """
    bare = host.strip("[]")
    bound = None
    try:
        flags = socket.AI_PASSIVE
        found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=flags)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, UnicodeError) as error:
        if bound is not None:
            bound.close()
        raise StatusError(
            StatusCode.UNAVAILABLE,
            f"cannot listen on {url_host(host)}:{port} ({name}): {error}",
        ) from error
    return bound


def check(host: str, port: int, name: str) -> None:
    """Checks that an address can be had, which costs less than loading a model.

    Raises:
        StatusError: as `bind`.
    """
    bind(host, port, name).close()
