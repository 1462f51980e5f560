"""Who may ask: TLS for gRPC, and a token for both protocols."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

import grpc
from grpc import StatusCode

from serving.status import StatusError

_REFUSAL = StatusError(
    StatusCode.UNAUTHENTICATED,
    "a valid token is needed, in one header: Authorization: Bearer TOKEN",
)


class Tokens:
    """Compares a header with the tokens that are valid."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """Takes the valid tokens; without any, every request passes."""
        self._tokens = [token.encode() for token in tokens]

    def check(self, headers: Sequence[str]) -> None:
        """Checks all Authorization headers of a call: there must be one, and valid.

        Raises:
            StatusError: UNAUTHENTICATED.
        """
        if not self._tokens:
            return
        if len(headers) != 1:
            raise _REFUSAL
        scheme, _, token = headers[0].partition(" ")
        given = token.strip().encode("utf-8", "replace")
        # All are compared, in constant time each.
        matches = [hmac.compare_digest(given, valid) for valid in self._tokens]
        if scheme.lower() != "bearer" or not any(matches):
            raise _REFUSAL


def server_credentials(ssl_config: Any) -> grpc.ServerCredentials:
    """Credentials of an ssl_config, see `config_files.read_ssl`."""
    pair = (ssl_config.server_key.encode(), ssl_config.server_cert.encode())
    return grpc.ssl_server_credentials(
        [pair],
        root_certificates=ssl_config.custom_ca.encode() or None,
        require_client_auth=ssl_config.client_verify,
    )
