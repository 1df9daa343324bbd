"""Changes by HTTP: who asks is proven anew, and what was seen is compared, within the transaction that changes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import Field
from sqlmodel import Session

from gatehouse.api.admin.entity_tags import check_match, if_match, tag_of
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.json_body import invalid
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import CHALLENGE, sentence
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.principal import Needs, call_of
from gatehouse.db.session import Database
from gatehouse.errors import Conflict, CredentialInvalid, KeyConflict, Refused, ScopeMissing
from gatehouse.identity.keys import KeyNotUsable
from gatehouse.identity.proof import Prover
from gatehouse.principal import Principal, Scope

AdminReader = Annotated[Principal, Depends(Needs(Scope.ADMIN_READ))]
AdminWriter = Annotated[Principal, Depends(Needs(Scope.ADMIN_WRITE))]
LEFT_OUT: Any = Field(default=None)
"""The default of a member that need not be sent, and for which null is no value: what was sent is told by `model_fields_set`."""


def guarded_database(
    request: Request,
    parts: AdminParts,
    shown: Callable[[Session], Closed] | None = None,
    may: Callable[[Session, Principal], None] | None = None,
) -> Database:
    """The database for one change by the caller, who must still have admin:write when it is made.

    `shown` reads what is to be changed as its GET shows it (or raises NotFound): its tag must be among those of If-Match. `may`
    refuses what this caller may not do. Writes raise what proofs raise, PreconditionRequired and PreconditionFailed.
    """

    def check(session: Session) -> None:
        caller = proven_again(request, parts.prover, session, Scope.ADMIN_WRITE)
        if shown is not None:
            check_match(request, tag_of(shown(session)), demanded=True)
        if may is not None:
            may(session, caller)

    return parts.database.guarded(check)


def proven_again(request: Request, prover: Prover, session: Session, scope: Scope) -> Principal:
    """The caller by what the transaction sees: what was let in may have been taken away while its body came in.

    Raises CredentialInvalid, ScopeMissing, IdentityUnavailable.
    """
    call = call_of(request)
    try:
        principal = prover.within(session).prove(call.credential, call.address).principal
    except CredentialInvalid as refusal:
        refusal.headers = (CHALLENGE,)
        raise
    if scope not in principal.scopes:
        raise ScopeMissing(f"This needs the scope {scope}.", members={"scope": scope})
    return principal


@contextmanager
def said_by_admin() -> Iterator[None]:
    """Refusals of the rooms as problems: 422 about a member of the body, else 409. What a path names is looked up before."""
    try:
        yield
    except KeyNotUsable as refusal:
        raise KeyConflict(sentence(refusal)) from None
    except Refused as refusal:
        fact = in_one_line(refusal.fact)
        if refusal.member:
            raise invalid([{"pointer": f"/{refusal.member}", "code": "refused", "detail": fact}]) from None
        raise Conflict(sentence(Refused(fact))) from None


def in_one_line(fact: str) -> str:
    """Lines that are indented are a list, the others sentences."""
    first, *others = fact.replace(":\n  ", ": ").replace("\n  ", "; ").splitlines()
    return ". ".join([first, *(f"{line[:1].upper()}{line[1:]}" for line in others)])


def check_not_empty(asked: Closed) -> None:
    """Raises InvalidInput where an edit names nothing."""
    if not asked.model_fields_set:
        raise invalid([{"pointer": "", "code": "missing", "detail": f"must hold one of {', '.join(type(asked).model_fields)}"}])


def changes(
    *statuses: int,
    body: type[Closed] | None = None,
    matched: bool = True,
    optional: bool = False,
    stays: bool = False,
    before: type[Closed] | None = None,
) -> dict[str, Any]:
    """What the OpenAPI document says of a route that changes something: its body, If-Match where `matched`, further problems.

    The body may be `optional`; where what it leaves out `stays`, none of its members has a default. `before` is what 200 answers
    where a POST finds that there is already what it asks for.
    """
    extra: dict[str, Any] = {}
    further = {*statuses, 422}
    if body is not None:
        schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        for member in schema["properties"].values() if stays else ():
            member.pop("default", None)
        extra["requestBody"] = {"required": not optional, "content": {"application/json": {"schema": schema}}}
        further |= {408, 413, 415}
    responses: dict[int | str, Any] = {status: problem_ref(status) for status in sorted(further)}
    if matched:
        matching = if_match(demanded=True)
        extra |= matching["openapi_extra"]
        responses |= matching["responses"]
    if before is not None:
        responses[200] = {"model": before, "description": "It was there before"}
    return {"openapi_extra": extra, "responses": responses}
