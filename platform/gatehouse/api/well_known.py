"""The well-known documents: the public token keys (RFC 7517 5), and what a client library asks of us first (RFC 8414)."""

import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gatehouse.api.paths import JWKS_PATH, METADATA_PATH
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.principal import TENANT_SCOPES

KEYS_MAX_AGE_S = 5
"""Half of what a new key is published before it signs, so that no cache hides it until then."""
METADATA_MAX_AGE_S = 3600
CLIENT_METHODS = ["client_secret_basic", "client_secret_post"]


def well_known_router(
    base_url: str, public_keys: Callable[[float], list[dict[str, str]]], *, docs: bool, now: Callable[[], float] = time.time
) -> APIRouter:
    """`public_keys` gives the JWKs that are published at a time in seconds since 1970."""
    router = strict_router(tags=["tokens"])

    @get_and_head(
        router, JWKS_PATH, summary="The public keys of access tokens", operation_id="read_token_keys", responses={200: _of(KEYS_SCHEMA)}
    )
    def keys() -> JSONResponse:
        return JSONResponse({"keys": public_keys(now())}, headers=_cached(KEYS_MAX_AGE_S))

    @get_and_head(
        router,
        METADATA_PATH,
        summary="Where tokens are got and revoked",
        operation_id="read_metadata",
        responses={200: _of(METADATA_SCHEMA)},
    )
    def metadata() -> JSONResponse:
        return JSONResponse(authorization_server(base_url, docs=docs), headers=_cached(METADATA_MAX_AGE_S))

    return router


def authorization_server(base_url: str, *, docs: bool) -> dict[str, Any]:
    """The metadata of RFC 8414 2; every URL starts with `base_url`, never with what a Host header says."""
    document: dict[str, Any] = {
        "issuer": base_url,
        "token_endpoint": f"{base_url}/oauth/token",
        "token_endpoint_auth_methods_supported": CLIENT_METHODS,
        "revocation_endpoint": f"{base_url}/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": CLIENT_METHODS,
        "jwks_uri": base_url + JWKS_PATH,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],  # must be there; there is no authorization endpoint
        "scopes_supported": sorted(TENANT_SCOPES),
    }
    return document | ({"service_documentation": f"{base_url}/docs"} if docs else {})


def _cached(seconds: int) -> dict[str, str]:
    return {"Cache-Control": f"public, max-age={seconds}"}


def _of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
KEYS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["keys"],
    "properties": {
        "keys": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kty", "crv", "x", "y", "kid", "use", "alg"],
                "additionalProperties": False,
                "properties": dict.fromkeys(("kty", "crv", "x", "y", "kid", "use", "alg"), _TEXT),
            },
        }
    },
}
METADATA_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["issuer", "token_endpoint", "jwks_uri", "response_types_supported"],
    "properties": {name: _TEXT if isinstance(value, str) else _TEXTS for name, value in authorization_server("", docs=True).items()},
}
