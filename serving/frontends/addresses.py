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
    """A socket that is bound; `name` is for the error. `::` takes IPv4 as well."""
    bare = host.strip("[]")
    is_ipv6 = ":" in bare
    try:
        return socket.create_server(
            (bare, port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            reuse_port=is_shared,
            dualstack_ipv6=is_ipv6 and socket.has_dualstack_ipv6(),
        )
    except (OSError, UnicodeError) as error:
        raise StatusError(
            StatusCode.UNAVAILABLE,
            f"cannot listen on {url_host(host)}:{port} ({name}): {error}",
        ) from error
