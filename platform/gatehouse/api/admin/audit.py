"""`/admin/audit`: who changed what, when, from where, and the proof that nobody has changed that since."""

import time
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from gatehouse.api.admin.audit_bodies import AuditEntry, AuditList, AuditQuery, Verification, VerificationQuery, audit_entry, verification
from gatehouse.api.admin.changing import AdminReader
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.db.audit_chain import Head
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.audit_trail import AuditFilter, AuditRow, find_entry, newest_entries
from gatehouse.db.audit_verify import verify_trail
from gatehouse.db.session import Database
from gatehouse.errors import NotFound, ServiceUnavailable

LIST = "audit"
LARGEST_ID = 2**63 - 1
RowId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The row's id")]
PAUSE_S = 0.002
"""Between a thousand rows of a verification: calls of others come first."""
LONGEST_S = 30.0
"""Of one verification, which proves all or nothing."""
RETRY_AFTER_S = "10"
TOO_LONG = (
    "The trail could not be proven within {seconds:.0f} s. Prove it on a server's own host, which takes its time: gatehouse audit verify"
)


def id_step(step: str) -> int:
    """Of a place. Raises ValueError for what no row's id can be."""
    number = int(step)
    if not 0 < number <= LARGEST_ID:
        raise ValueError("beyond all rows")
    return number


def audit_router(parts: AdminParts) -> APIRouter:
    """List, show and prove. Nothing here changes a row."""
    router = strict_router(prefix="/admin/audit", tags=["admin: audit"])
    verifying = Lock()

    @get_and_head(router, "", summary="Changes and refused admin calls, the newest first", operation_id="admin_list_audit")
    @parts.limited
    def list_audit(request: Request, principal: AdminReader, query: Annotated[AuditQuery, Query()]) -> AuditList:
        after = query.after(LIST, id_step)
        with parts.database.read() as session:
            found = newest_entries(session, wanted(query), query.limit + 1, after[0] if after else None)
        items, cursor = query.cut(LIST, found, lambda row: (str(row.id),))
        return AuditList(items=[audit_entry(row) for row in items], next=cursor)

    @get_and_head(
        router,
        "/verification",
        summary="Prove that no row was changed, removed, inserted or swapped",
        operation_id="admin_verify_audit",
        responses={503: problem_ref(503)},
    )
    @parts.limited
    def verify_audit(request: Request, principal: AdminReader, query: Annotated[VerificationQuery, Query()]) -> Verification:
        if not verifying.acquire(blocking=False):  # each takes a core for as long as there are rows
            raise ServiceUnavailable("Another verification is under way.", reason="verifying", headers=[("Retry-After", RETRY_AFTER_S)])
        try:
            return verified(parts.database, AuditKeys(parts.settings.audit_keys), query.heads)
        finally:
            verifying.release()

    @get_and_head(router, "/{row_id}", summary="One row", operation_id="admin_show_audit")
    @parts.limited
    def show_audit(request: Request, principal: AdminReader, row_id: RowId) -> AuditEntry:
        with parts.database.read() as session:
            row: AuditRow | None = find_entry(session, row_id)
        if row is None:
            raise NotFound(reason="no_such_audit_row")
        return audit_entry(row)

    return router


def wanted(query: AuditQuery) -> AuditFilter:
    """The rows that a query asks for."""
    return AuditFilter(**query.model_dump(exclude=set(PageQuery.model_fields)))


def verified(database: Database, keys: AuditKeys, seen: list[Head]) -> Verification:
    """The trail as it is now. Raises ServiceUnavailable where it is too long for one call."""
    longest_s = LONGEST_S
    until = time.monotonic() + longest_s

    def pause() -> None:
        if time.monotonic() > until:
            detail = TOO_LONG.format(seconds=longest_s)
            raise ServiceUnavailable(detail, reason="trail_too_long", headers=[("Retry-After", RETRY_AFTER_S)])
        time.sleep(PAUSE_S)

    with database.read() as session:
        return verification(verify_trail(session, keys, seen, pause=pause))
