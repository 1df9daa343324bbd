"""`/admin/migration/{model}/{old}/{new}`: who still calls an API version, what breaks if it is switched off, and who has been told."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from gatehouse.api.account_usage import refused
from gatehouse.api.admin.changing import AdminReader
from gatehouse.api.admin.migration_bodies import MigrationReportBody
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import ModelPath, Reference
from gatehouse.api.admin.tenant_filter import tenant_id_of
from gatehouse.api.key_bodies import Closed
from gatehouse.api.negotiation import accepted
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.paths import API_VERSION
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound, NotKnown, Refused
from gatehouse.migration.report_facts import COLUMNS, csv_rows, report_facts
from gatehouse.operating.reporting import migration_report
from gatehouse.usage.csv_text import csv_lines

Old = Annotated[str, Path(pattern=f"^{API_VERSION}$", description="The API version to be switched off")]
New = Annotated[str, Path(pattern=f"^{API_VERSION}$", description="The later one to move to")]
JSON, CSV = "application/json", "text/csv"
VARY = {"Vary": "Accept"}
FORMATS: dict[int | str, Any] = {200: {"content": {CSV: {"schema": {"type": "string"}}}}, 406: problem_ref(406), 404: problem_ref(404)}


class ReportQuery(Closed):
    """Whose, and how it is written."""

    tenant: Annotated[Reference | None, Query(description="Of one tenant alone, by id or name")] = None
    format: Annotated[Literal["json", "csv"] | None, Query(description="json or csv, a line for each key; by Accept unless given")] = None


def migration_router(parts: AdminParts) -> APIRouter:
    """The migration report."""
    router = strict_router(prefix="/admin/migration", tags=["admin: migration"])

    @get_and_head(
        router,
        "/{model}/{old}/{new}",
        summary="Who still calls an API version, and what speaks against switching it off",
        operation_id="admin_show_migration",
        response_model=MigrationReportBody,
        responses=FORMATS,
    )
    @parts.limited
    def show(
        request: Request, principal: AdminReader, model: ModelPath, old: Old, new: New, query: Annotated[ReportQuery, Query()]
    ) -> Response:
        as_csv = query.format == "csv" if query.format else accepted(request.headers.getlist("accept"), (JSON, CSV)) == CSV
        with parts.database.read() as session:
            try:
                tenant_id = tenant_id_of(session, query.tenant)
                found = migration_report(session, parts.settings, model, old, new, parts.now(), tenant_id)
            except NotKnown:
                raise NotFound(reason="no_such_endpoint") from None
            except Refused as refusal:
                raise refused("new", refusal.fact) from None
        if as_csv:
            name = f"migration-{model}-{old}-{new}.csv"
            headers = VARY | {"Content-Disposition": f'attachment; filename="{name}"'}
            return Response(csv_lines([COLUMNS, *csv_rows(found)]), media_type=f"{CSV}; charset=utf-8", headers=headers)
        return JSONResponse(MigrationReportBody.model_validate(report_facts(found)).model_dump(mode="json"), headers=VARY)

    return router
