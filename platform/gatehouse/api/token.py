"""`POST /oauth/token`: a short-lived access token for an API key (RFC 6749 4.4, client credentials)."""

import secrets
import time
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from gatehouse.api.key_bodies import Closed
from gatehouse.api.oauth import NO_STORE, OAUTH_ERRORS, OAuthError, OAuthForm, Prove, described_form, form_body, prove_client, read_form
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_address
from gatehouse.errors import ServiceUnavailable
from gatehouse.identity.sealing import TokenKeyUnreadable
from gatehouse.identity.tokens import LIFETIME_S, TokenIssuer
from gatehouse.principal import Scope, Verified

RETRY_AFTER_S = "30"


class AccessToken(Closed):
    """RFC 6749 5.1."""

    access_token: Annotated[str, Field(repr=False)]
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


def token_router(
    prove: Prove, signer: Callable[[float], TokenIssuer], throttle: Throttle, per_minute: int, now: Callable[[], float] = time.time
) -> APIRouter:
    """`signer` gives what signs at a time in seconds since 1970."""
    router = strict_router(tags=["tokens"])

    @router.post(
        "/oauth/token",
        summary="A short-lived access token for an API key",
        operation_id="create_token",
        responses={**OAUTH_ERRORS, 200: {"model": AccessToken}},
        openapi_extra=described_form(
            "grant_type",
            grant_type={"const": "client_credentials"},
            scope={"type": "string", "description": "Some of the key's scopes, a space between them; all by default."},
        ),
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_address)
    def create_token(request: Request, body: Annotated[bytes, Depends(form_body)]) -> JSONResponse:
        form = read_form(request, body)
        check_grant(form)
        verified = prove_client(prove, request, form.client)
        scopes = narrowed(verified.principal.scopes, asked_scopes(form))
        return JSONResponse(issued(signer_at(signer, now()), verified, scopes, now()), headers=NO_STORE)

    return router


def issued(issuer: TokenIssuer, verified: Verified, scopes: frozenset[Scope], now: float) -> dict[str, object]:
    """The answer with a new token (RFC 6749 5.1); it ends with what proved the key, if that is sooner."""
    issued_at = max(int(now), verified.issued_from)  # a token from before the key's last rotation ends with its grace
    ends_at = int(min(verified.expires_at, issued_at + LIFETIME_S))
    token = issuer.issue(
        tenant_id=verified.principal.tenant_id,
        key_id=verified.principal.key_id,
        scopes=scopes,
        jti=secrets.token_hex(16),
        now=issued_at,
        expires_at=ends_at,
    )
    return {"access_token": token, "token_type": "Bearer", "expires_in": ends_at - issued_at, "scope": " ".join(sorted(scopes))}


def signer_at(signer: Callable[[float], TokenIssuer], now: float) -> TokenIssuer:
    """What signs now. Raises ServiceUnavailable where this process cannot open the token key that does."""
    try:
        return signer(now)
    except TokenKeyUnreadable:
        raise ServiceUnavailable(reason="token_key_unreadable", headers=[("Retry-After", RETRY_AFTER_S)]) from None


def check_grant(form: OAuthForm) -> None:
    """Raises OAuthError for any grant but client credentials (RFC 9700 2.1.2, 2.4)."""
    grant_type = form.fields.get("grant_type")
    if grant_type is None:
        raise OAuthError(400, "invalid_request", "grant_type is missing; send grant_type=client_credentials.")
    if grant_type != "client_credentials":
        raise OAuthError(400, "unsupported_grant_type", "The only grant is client_credentials.")


def asked_scopes(form: OAuthForm) -> frozenset[str] | None:
    """None: all that the key has."""
    scope = form.fields.get("scope")
    return None if scope is None else frozenset(scope.split())


def narrowed(held: frozenset[Scope], asked: frozenset[str] | None) -> frozenset[Scope]:
    """The scopes asked for, all of which the key must have (RFC 6749 3.3). Raises OAuthError."""
    if asked is None:
        if not held:
            raise OAuthError(400, "invalid_scope", "The key has no scope.")
        return held
    if not asked or not asked <= held:
        raise OAuthError(400, "invalid_scope", "The key does not have every scope that was asked for.")
    return frozenset(Scope(scope) for scope in asked)
