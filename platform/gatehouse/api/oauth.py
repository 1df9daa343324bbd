"""What the OAuth paths share: their form, how a client authenticates in it, and errors in the words of RFC 6749 5.2."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request
from fastapi.responses import JSONResponse

from gatehouse.api.principal import call_of
from gatehouse.errors import CredentialInvalid, CredentialMalformed
from gatehouse.identity.api_keys import looks_like_key
from gatehouse.principal import Verified

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 16
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
Prove = Callable[[str, str], Verified]
"""Proves a key (text, caller's address), and raises what authentication raises."""


class OAuthError(Exception):
    """An error in the words of RFC 6749 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class Client:
    """Who authenticates: the key id, and the whole key."""

    key_id: str
    key: str

    def __repr__(self) -> str:
        return f"Client({self.key_id!r})"


@dataclass(frozen=True, slots=True)
class OAuthForm:
    """A well-formed request: its parameters, each there once and not empty, and what HTTP Basic says."""

    fields: Mapping[str, str]
    basic: tuple[str, str] | None

    def __repr__(self) -> str:
        return f"OAuthForm({sorted(self.fields)})"

    @property
    def client(self) -> Client:
        """Who asks. Raises OAuthError."""
        client = self.basic or (self.fields.get("client_id", ""), self.fields.get("client_secret", ""))
        if not all(client):
            raise OAuthError(401, "invalid_client", "Send client_id (the key id) and client_secret (the whole key).")
        if not looks_like_key(client[1]):  # an access token proves who is calling too, but must not beget another one
            raise OAuthError(401, "invalid_client", "client_secret is the whole API key.")
        return Client(*client)


async def form_body(request: Request) -> bytes:
    """The body, which the middleware limits to 16 KiB."""
    return await request.body()


def read_form(request: Request, body: bytes) -> OAuthForm:
    """Raises OAuthError: only a form, nothing in the query, no parameter twice, one way of authentication (RFC 6749 2.3.1, 3.2)."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        raise OAuthError(400, "invalid_request", f"Send the parameters as {FORM} in the body.")
    if request.url.query:
        raise OAuthError(401, "invalid_client", "Nothing belongs into the query; send the parameters in the body.")
    fields = _fields(body)
    basic = _basic(request.headers.getlist("authorization"))
    if basic and ("client_secret" in fields or "client_id" in fields):
        raise OAuthError(400, "invalid_request", "Send the client id and secret by HTTP Basic or in the form, not both.")
    return OAuthForm(fields, basic)


def prove_client(prove: Prove, request: Request, client: Client) -> Verified:
    """The proof of the client's key. Raises OAuthError, the same for whatever is wrong with it."""
    try:
        verified = prove(client.key, call_of(request).address)
    except (CredentialInvalid, CredentialMalformed) as refusal:
        call_of(request).reason = refusal.reason
        raise OAuthError(401, "invalid_client", "The client id or secret is not valid.") from None
    if verified.principal.key_id != client.key_id:
        raise OAuthError(401, "invalid_client", "The client id or secret is not valid.")
    return verified


def oauth_answer(error: OAuthError) -> JSONResponse:
    """The error document of RFC 6749 5.2."""
    # every 401 needs a challenge (RFC 9110 11.6.1)
    headers = {**NO_STORE, "WWW-Authenticate": 'Basic realm="gatehouse"'} if error.status == 401 else NO_STORE
    return JSONResponse({"error": error.error, "error_description": error.description}, error.status, headers)


def described_form(required: str, **more: Mapping[str, Any]) -> dict[str, Any]:
    """How the OpenAPI document shows the form: one required parameter, others, and the client's two."""
    schema = {"type": "object", "required": [required], "properties": {**more, **CLIENT_PROPERTIES}}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schema}}}}


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


CLIENT_PROPERTIES: Mapping[str, Mapping[str, str]] = {
    "client_id": {"type": "string", "description": "The key id; or send it by HTTP Basic."},
    "client_secret": {"type": "string", "description": "The whole API key; or send it by HTTP Basic."},
}
ERROR_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
OAUTH_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": "RFC 6749 5.2", "content": {"application/json": {"schema": ERROR_SCHEMA}}} for status in (400, 401)
}
