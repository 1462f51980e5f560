"""Who may ask: TLS for gRPC, and a token for both protocols."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from grpc import aio

_HEALTH = "/grpc.health.v1.Health/"
_SCHEME = "Bearer "
REFUSAL = "a valid token is needed: Authorization: Bearer TOKEN"


class Tokens:
    """Compares a header with the tokens that are valid."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """Takes the valid tokens; without any, every request passes."""
        self._tokens = [token.encode() for token in tokens]

    def allow(self, authorization: str | None) -> bool:
        """Whether a header's value holds one of them."""
        if not self._tokens:
            return True
        if not authorization or not authorization.startswith(_SCHEME):
            return False
        given = authorization.removeprefix(_SCHEME).strip().encode("utf-8", "replace")
        # All are compared, in constant time each.
        return any([hmac.compare_digest(given, token) for token in self._tokens])


class TokenInterceptor(aio.ServerInterceptor):
    """Refuses calls without a valid token; those of the health service pass."""

    def __init__(self, tokens: Tokens) -> None:
        """Takes the valid tokens."""
        self._tokens = tokens
        self._refuse = grpc.unary_unary_rpc_method_handler(_refuse)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """The handler of a call, or one that refuses it."""
        if handler_call_details.method.startswith(_HEALTH):
            return await continuation(handler_call_details)
        metadata = dict(handler_call_details.invocation_metadata or ())
        if self._tokens.allow(metadata.get("authorization")):
            return await continuation(handler_call_details)
        return self._refuse


async def _refuse(request: bytes, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSAL)


def server_credentials(ssl_config: Any) -> grpc.ServerCredentials:
    """Credentials of an ssl_config, see `config_files.read_ssl`."""
    pair = (ssl_config.server_key.encode(), ssl_config.server_cert.encode())
    return grpc.ssl_server_credentials(
        [pair],
        root_certificates=ssl_config.custom_ca.encode() or None,
        require_client_auth=ssl_config.client_verify,
    )
