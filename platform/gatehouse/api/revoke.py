"""`POST /oauth/revoke`: stop an access token before its end (RFC 7009)."""

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from gatehouse.api.oauth import NO_STORE, OAUTH_ERRORS, OAuthError, OAuthForm, Prove, described_form, form_body, prove_client, read_form
from gatehouse.api.principal import holder_of
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_address
from gatehouse.db.audit import Actor
from gatehouse.identity.api_keys import looks_like_key
from gatehouse.identity.tokens import PersonClaims, TokenClaims, TokenRefused

UNSUPPORTED = "Only access tokens are revoked here. An API key is revoked under /account/keys, or by whoever runs this service."


def revocation_router(
    prove: Prove,
    verify: Callable[[str, float], TokenClaims | PersonClaims],
    revoke: Callable[[TokenClaims | PersonClaims, float, Actor], None],
    throttle: Throttle,
    per_minute: int,
    now: Callable[[], float] = time.time,
) -> APIRouter:
    """`verify` proves a token at a time in seconds since 1970, `revoke` stops it everywhere."""
    router = strict_router(tags=["tokens"])

    @router.post(
        "/oauth/revoke",
        summary="Stop an access token before its end",
        operation_id="revoke_token",
        description="Answers 200 also for a token that is unknown, has ended, or was got by another key, which nothing happens to. "
        "A person's token needs no client: whoever holds it may end it.",
        response_class=Response,
        responses={**OAUTH_ERRORS, 200: {"description": "The token is worth nothing any more, within a second everywhere."}},
        openapi_extra=described_form(
            "token",
            token={"type": "string", "description": "The whole access token."},
            token_type_hint={"type": "string", "description": "Not needed, and ignored."},
        ),
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_address)
    def revoke_token(request: Request, body: Annotated[bytes, Depends(form_body)]) -> Response:
        form = read_form(request, body)
        login = own_login(form, verify, now())
        if login is not None:
            revoke(login, now(), holder_of(request, login))
            return Response(headers=NO_STORE)
        principal = prove_client(prove, request, form.client).principal
        token = token_of(form)
        try:
            claims = verify(token, now())
        except TokenRefused:
            return Response(headers=NO_STORE)  # it is worth nothing anyway (RFC 7009 2.2)
        if isinstance(claims, TokenClaims) and (claims.tenant_id, claims.key_id) == (principal.tenant_id, principal.key_id):
            revoke(claims, now(), holder_of(request, claims))
        return Response(headers=NO_STORE)

    return router


def own_login(form: OAuthForm, verify: Callable[[str, float], TokenClaims | PersonClaims], now: float) -> PersonClaims | None:
    """The person's token that comes without a client: a person is none, and whoever holds the token may end it."""
    if form.basic or form.fields.keys() & {"client_id", "client_secret"}:
        return None
    try:
        claims = verify(form.fields.get("token", ""), now)
    except TokenRefused:
        return None
    return claims if isinstance(claims, PersonClaims) else None


def token_of(form: OAuthForm) -> str:
    """The token to revoke. Raises OAuthError; an API key here must not leave its holder believing that it has been revoked."""
    token = form.fields.get("token")
    if token is None:
        raise OAuthError(400, "invalid_request", "token is missing; send token=<the whole access token>.")
    if looks_like_key(token):
        raise OAuthError(400, "unsupported_token_type", UNSUPPORTED)
    return token
