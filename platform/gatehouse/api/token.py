"""`POST /oauth/token`: a short-lived access token for an API key (RFC 6749 4.4, client credentials)."""

import base64
import binascii
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from gatehouse.api.principal import call_of
from gatehouse.api.throttle import Throttle, by_address
from gatehouse.errors import CredentialInvalid, CredentialMalformed
from gatehouse.identity.api_keys import looks_like_key
from gatehouse.identity.tokens import LIFETIME_S, TokenIssuer
from gatehouse.principal import Scope, Verified

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 16
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthError(Exception):
    """An error in the words of RFC 6749 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A well-formed request: the key that asks, and the scopes it asks for (None: all it has)."""

    key_id: str
    key: str
    scopes: frozenset[str] | None

    def __repr__(self) -> str:
        return f"TokenRequest({self.key_id!r})"


async def _form(request: Request) -> bytes:
    return await request.body()


def token_router(
    look_up: Callable[[str, str], Verified], issuer: TokenIssuer, throttle: Throttle, per_minute: int, now: Callable[[], float] = time.time
) -> APIRouter:
    """`look_up` proves a key (text, caller's address), and raises what authentication raises."""
    router = APIRouter(tags=["tokens"])

    @router.post(
        "/oauth/token",
        summary="A short-lived access token for an API key",
        operation_id="create_token",
        responses={
            status: {"description": "RFC 6749 5.2", "content": {"application/json": {"schema": ERROR_SCHEMA}}} for status in (400, 401)
        },
        openapi_extra={"requestBody": {"required": True, "content": {FORM: {"schema": FORM_SCHEMA}}}},
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_address)
    def create_token(request: Request, body: Annotated[bytes, Depends(_form)]) -> JSONResponse:
        asked = parse_request(request, body)
        try:
            verified = look_up(asked.key, call_of(request).address)
        except (CredentialInvalid, CredentialMalformed) as refusal:
            call_of(request).reason = refusal.reason
            raise OAuthError(401, "invalid_client", "The client id or secret is not valid.") from None
        principal = verified.principal
        if principal.key_id != asked.key_id:
            raise OAuthError(401, "invalid_client", "The client id or secret is not valid.")
        scopes = narrowed(principal.scopes, asked.scopes)
        issued_at = max(int(now()), verified.issued_from)  # a token from before the key's last rotation ends with its grace
        ends_at = int(min(verified.expires_at, issued_at + LIFETIME_S))
        token = issuer.issue(
            tenant_id=principal.tenant_id,
            key_id=principal.key_id,
            scopes=scopes,
            jti=secrets.token_hex(16),
            now=issued_at,
            expires_at=ends_at,
        )
        content = {"access_token": token, "token_type": "Bearer", "expires_in": ends_at - issued_at, "scope": " ".join(sorted(scopes))}
        return JSONResponse(content, headers=NO_STORE)

    return router


def parse_request(request: Request, body: bytes) -> TokenRequest:
    """Raises OAuthError: only a form, nothing in the query, no parameter twice, one way of authentication (RFC 6749 2.3.1, 3.2)."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        raise OAuthError(400, "invalid_request", f"Send the parameters as {FORM} in the body.")
    if request.url.query:
        raise OAuthError(401, "invalid_client", "Nothing belongs into the query; send the parameters in the body.")
    fields = _fields(body)
    by_basic = _basic(request.headers.getlist("authorization"))
    if by_basic and ("client_secret" in fields or "client_id" in fields):
        raise OAuthError(400, "invalid_request", "Send the client id and secret by HTTP Basic or in the form, not both.")
    grant_type = fields.get("grant_type")
    if grant_type is None:
        raise OAuthError(400, "invalid_request", "grant_type is missing; send grant_type=client_credentials.")
    if grant_type != "client_credentials":
        raise OAuthError(400, "unsupported_grant_type", "The only grant is client_credentials.")
    client = by_basic or (fields.get("client_id", ""), fields.get("client_secret", ""))
    if not all(client):
        raise OAuthError(401, "invalid_client", "Send client_id (the key id) and client_secret (the whole key).")
    if not looks_like_key(client[1]):  # an access token proves who is calling too, but must not beget another one
        raise OAuthError(401, "invalid_client", "client_secret is the whole API key.")
    scope = fields.get("scope")
    return TokenRequest(client[0], client[1], None if scope is None else frozenset(scope.split()))


def narrowed(held: frozenset[Scope], asked: frozenset[str] | None) -> frozenset[Scope]:
    """The scopes asked for, all of which the key must have (RFC 6749 3.3). Raises OAuthError."""
    if asked is None:
        if not held:
            raise OAuthError(400, "invalid_scope", "The key has no scope.")
        return held
    if not asked or not asked <= held:
        raise OAuthError(400, "invalid_scope", "The key does not have every scope that was asked for.")
    return frozenset(Scope(scope) for scope in asked)


def oauth_answer(error: OAuthError) -> JSONResponse:
    """The error document of RFC 6749 5.2."""
    # every 401 needs a challenge (RFC 9110 11.6.1)
    headers = {**NO_STORE, "WWW-Authenticate": 'Basic realm="gatehouse"'} if error.status == 401 else NO_STORE
    return JSONResponse({"error": error.error, "error_description": error.description}, error.status, headers)


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise OAuthError(400, "invalid_request", f"The body is not {FORM}.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise OAuthError(400, "invalid_request", "A parameter is there twice.")
    return {name: value for name, value in fields.items() if value}  # one without a value counts as absent (RFC 6749 3.2)


def _basic(headers: list[str]) -> tuple[str, str] | None:
    """Client id and secret by HTTP Basic, each form-encoded first (RFC 6749 2.3.1); None when the header is not there."""
    if not headers:
        return None
    scheme, _, value = headers[0].partition(" ")
    try:
        if len(headers) > 1 or scheme.lower() != "basic":
            raise ValueError("not one Basic header")
        client_id, separator, secret = base64.b64decode(value.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        raise OAuthError(401, "invalid_client", "The Authorization header is not HTTP Basic.") from None
    if not separator:
        raise OAuthError(401, "invalid_client", "The Authorization header is not HTTP Basic.")
    return unquote_plus(client_id), unquote_plus(secret)


ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
FORM_SCHEMA = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"const": "client_credentials"},
        "client_id": {"type": "string", "description": "The key id; or send it by HTTP Basic."},
        "client_secret": {"type": "string", "description": "The whole API key; or send it by HTTP Basic."},
        "scope": {"type": "string", "description": "Some of the key's scopes, a space between them; all by default."},
    },
}
