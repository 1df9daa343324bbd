"""`/admin/tenants/import` and `/admin/keys/import`: many of them by one CSV file, all or none."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminWriter, guarded_database, proven_again
from gatehouse.api.admin.csv_body import answered, check_csv, said_of_lines, takes_csv
from gatehouse.api.admin.key_bodies import AdminShownKey, admin_entry
from gatehouse.api.admin.key_wishes import check_none_wider
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import TenantEntry, tenant_entry
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.paths import KEY_IMPORT_PATH, TENANT_IMPORT_PATH
from gatehouse.api.principal import actor_of
from gatehouse.api.strict_router import strict_router
from gatehouse.identity.key_import import import_keys
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.tenant_import import import_tenants
from gatehouse.migration.store import api_versions_by_model
from gatehouse.principal import Scope

TENANT_COLUMNS = "`name`, and where wanted `plan` and `models` with blanks between them"
KEY_COLUMNS = "`tenant` (id or name), and where wanted `name`, `scopes`, `expires_at` and `networks`, with blanks within a cell"


class ImportQuery(Closed):
    """Whether to make them."""

    dry_run: Annotated[bool, Field(description="Only say whether every line can be made")] = False


class TenantImport(Closed):
    """What was made of each line; nothing where it was only tried."""

    dry_run: bool
    lines: int
    items: list[TenantEntry]


class KeyImport(Closed):
    """What was made of each line, with the whole keys, which are shown here and never again; nothing where it was only tried."""

    dry_run: bool
    lines: int
    items: list[AdminShownKey]


def imports_router(parts: AdminParts) -> APIRouter:
    """Both take a whole file, in one transaction."""
    router = strict_router()
    tenants = takes_csv(TenantImport, TENANT_COLUMNS, "name,plan,models\r\nacme,standard,iris churn\r\n")
    keys = takes_csv(KeyImport, KEY_COLUMNS, "tenant,name,scopes\r\nacme,nightly,predictions:create models:read\r\n")
    wanted = Annotated[ImportQuery, Query()]

    @router.post(
        TENANT_IMPORT_PATH, summary="Make tenants of a CSV file", operation_id="admin_import_tenants", tags=["admin: tenants"], **tenants
    )
    @parts.limited
    def import_many_tenants(request: Request, principal: AdminWriter, query: wanted, body: Body) -> Response:
        check_csv(request)
        database, actor = guarded_database(request, parts), actor_of(request, principal)
        with said_of_lines():
            done = import_tenants(database, actor, body, api_versions_by_model, untold, dry_run=query.dry_run)
        items = [tenant_entry(each.tenant, each.grants) for each in done.made]
        return answered(TenantImport(dry_run=query.dry_run, lines=done.lines, items=items), 200 if query.dry_run else 201)

    @router.post(
        KEY_IMPORT_PATH, summary="Make keys of a CSV file, shown once", operation_id="admin_import_keys", tags=["admin: keys"], **keys
    )
    @parts.limited
    def import_many_keys(request: Request, principal: AdminWriter, query: wanted, body: Body) -> Response:
        check_csv(request)

        def bounds(session: Session, wished: Sequence[ApiKey]) -> None:
            check_none_wider(session, proven_again(request, parts.prover, session, Scope.ADMIN_WRITE), wished)

        database, actor = guarded_database(request, parts), actor_of(request, principal)
        with said_of_lines():
            done = import_keys(database, actor, body, parts.peppers.current, untold, bounds, dry_run=query.dry_run)
        now = parts.now()
        items = [AdminShownKey(**admin_entry(each.key, now).model_dump(), key=each.text) for each in done.made]
        return answered(KeyImport(dry_run=query.dry_run, lines=done.lines, items=items), 200 if query.dry_run else 201)

    return router


def untold(_step: str) -> None:
    """Nobody watches."""
