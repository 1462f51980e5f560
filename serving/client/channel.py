"""Channels to a server: plain, over TLS, with a token."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

import grpc

_MAX_RESPONSE_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class Security:
    """TLS of a channel.

    Attributes:
        ca: PEM of the authority that signed the server's certificate.
        cert: PEM of the client's own certificate; None where none is asked for.
        key: PEM of its key.
        token: for the server; never sent without TLS.
    """

    ca: bytes
    cert: bytes | None = None
    key: bytes | None = None
    token: str | None = None


def read_security(
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    token_file: Path | None,
) -> Security | None:
    """The security of these files; None without a `ca_file`."""
    if ca_file is None:
        return None
    cert = cert_file.read_bytes() if cert_file else None
    key = key_file.read_bytes() if key_file else None
    token = token_file.read_text("utf-8").strip() if token_file else None
    return Security(ca_file.read_bytes(), cert, key, token)


def is_local(target: str) -> bool:
    """Whether HOST:PORT or `unix:PATH` is on this machine, out of a proxy's reach."""
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect(target: str, security: Security | None) -> grpc.Channel:
    """A channel to HOST:PORT that connects when it is first used."""
    options = [
        ("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES),
        # A server that comes back is found within a second or two.
        *((f"grpc.{n}_reconnect_backoff_ms", 1000) for n in ("initial", "min", "max")),
        ("grpc.enable_http_proxy", int(not is_local(target))),
    ]
    if security is None:
        return grpc.insecure_channel(target, options=options)
    credentials = grpc.ssl_channel_credentials(security.ca, security.key, security.cert)
    if security.token:
        credentials = grpc.composite_channel_credentials(
            credentials, grpc.access_token_call_credentials(security.token)
        )
    return grpc.secure_channel(target, credentials, options=options)
