"""`POST /login`: a name and a password to a person's token; `POST /login/accept`: a one-time code to a password; and the way out."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from gatehouse.api.json_body import invalid, parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import CHALLENGE, Body, takes
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.principal import actor_of, call_of, caller_of
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_address, by_key
from gatehouse.api.token import signer_at
from gatehouse.db.audit import Actor
from gatehouse.errors import CredentialInvalid, LoginNeeded
from gatehouse.identity.key_wishes import WishRefused
from gatehouse.identity.logins import CodeRefused, LoggedIn, Logins
from gatehouse.identity.names import NAME
from gatehouse.identity.one_time_codes import LONGEST as LONGEST_CODE
from gatehouse.identity.tokens import LIFETIME_S, PersonClaims, TokenClaims, TokenIssuer
from gatehouse.limits.failed_logins import FailedLogins
from gatehouse.principal import ROLE_SCOPES, Role

BEARER: Literal["Bearer"] = "Bearer"
LOGIN_NAME = rf"^{NAME.pattern}(@{NAME.pattern})?$"
IN_QUERY = "nothing belongs into the query: what is in an address is written into logs"


class Login(Closed):
    """Who logs in."""

    name: Annotated[str, Field(pattern=LOGIN_NAME, description="As the invitation says it: alice, or lead@acme")]
    password: Annotated[str, Field(repr=False, json_schema_extra={"format": "password"})]


class LoginToken(Closed):
    """A token for `/admin` and `/account`, which changes things in its first 5 minutes and reads until its end."""

    access_token: Annotated[str, Field(repr=False)]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(description="Seconds")]
    role: Role
    scope: Annotated[str, Field(description="What the role may do, and give to keys")]


class Acceptance(Closed):
    """What sets a password."""

    code: Annotated[str, Field(repr=False, max_length=LONGEST_CODE, description="The one-time code, of an invitation or a reset")]
    password: Annotated[
        str,
        Field(
            repr=False,
            description="8 to 128 characters of whatever kind, not among those that are tried first",
            json_schema_extra={"format": "password"},
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginParts:
    """What logging in needs of the rooms; `verify` and `revoke` take seconds since 1970."""

    logins: Logins
    failures: FailedLogins
    signer: Callable[[float], TokenIssuer]
    verify: Callable[[str, float], TokenClaims | PersonClaims]
    revoke: Callable[[TokenClaims | PersonClaims, float, Actor], None]
    now: Callable[[], float] = time.time


def login_router(parts: LoginParts, throttle: Throttle, per_minute: int) -> APIRouter:
    """Log in, set a password, log out."""
    router = strict_router(tags=["login"])
    limited = throttle.limit(f"{per_minute}/minute", key_func=by_address)

    @router.post("/login", summary="A token for a person", operation_id="log_in", **takes(Login, 401, 429, 503))
    @limited
    def log_in(request: Request, body: Body) -> LoginToken:
        check_no_query(request)
        asked, call = parsed(request, body, Login), call_of(request)
        with parts.failures.attempt(asked.name, call.address) as attempt:
            try:
                who = parts.logins.log_in(asked.name, asked.password, call.address[:63], call.request_id, attempt.fail)
            except CredentialInvalid as refusal:
                refusal.headers = (CHALLENGE,)
                raise
        return issued(signer_at(parts.signer, parts.now()), who)

    @router.post(
        "/login/accept",
        summary="Set a password by a one-time code",
        operation_id="accept_code",
        status_code=204,
        **takes(Acceptance, 429, 503),
    )
    @limited
    def accept(request: Request, body: Body) -> None:
        check_no_query(request)
        asked, call = parsed(request, body, Acceptance), call_of(request)
        with parts.failures.attempt_code(call.address) as attempt:
            try:
                parts.logins.accept(asked.code, asked.password, call.address[:63], call.request_id)
            except (CodeRefused, WishRefused) as refusal:
                attempt.failed = isinstance(refusal, CodeRefused)
                raise invalid([{"pointer": f"/{refusal.member}", "code": "refused", "detail": refusal.fact}]) from None

    @router.post(
        "/account/logout",
        summary="End the token that makes the call",
        operation_id="log_out",
        status_code=204,
        response_class=Response,
        responses={403: problem_ref(403)},
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_key)
    def log_out(request: Request) -> Response:
        principal = caller_of(request)
        if not principal.person_id:
            raise LoginNeeded()
        claims = parts.verify(call_of(request).credential, parts.now())
        parts.revoke(claims, parts.now(), actor_of(request, principal))
        return Response(status_code=204)

    return router


def check_no_query(request: Request) -> None:
    """Raises InvalidInput: some would send the password there."""
    if request.url.query:
        raise invalid([{"pointer": "", "code": "unknown_field", "detail": IN_QUERY}])


def issued(issuer: TokenIssuer, who: LoggedIn) -> LoginToken:
    """The answer with a new token."""
    role = who.person.role
    token = issuer.issue_to_person(tenant_id=who.tenant_id, person_id=who.person.id, role=role, jti=secrets.token_hex(16), now=who.at)
    scope = " ".join(sorted(ROLE_SCOPES[role]))
    return LoginToken(access_token=token, token_type=BEARER, expires_in=LIFETIME_S, role=role, scope=scope)
