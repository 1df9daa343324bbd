"""`/admin/tenants/{tenant}/welcome`: the page for a partner's developer, as the command line writes it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gatehouse.api.admin.changing import AdminReader, said_by_admin
from gatehouse.api.admin.migration_guide import GuideQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.plans import PlanEntry
from gatehouse.api.admin.tenant_bodies import TenantPath
from gatehouse.api.admin.tenants import referred
from gatehouse.api.key_bodies import Closed
from gatehouse.api.migration_guide import CONTENT, answer_as, format_of
from gatehouse.api.model_bodies import Cell, ContractBody, SuccessorBody
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.migration.endpoint import EndpointState
from gatehouse.operating.welcome import welcome
from gatehouse.operating.welcome_text import title_of, welcome_document


class FirstCode(Closed):
    """Programs that run as pasted, with a key in the environment; that of pandas goes on where that of Python ends."""

    curl: str
    powershell: str
    python: str
    pandas: str
    javascript: str


class FirstCall(Closed):
    """The endpoint to begin with."""

    model: str
    api_version: str
    code: FirstCode


class WelcomeEndpoint(Closed):
    """What the tenant may call, with a row that is valid as it stands."""

    model: str
    api_version: str
    lifecycle: EndpointState
    url: str
    deprecated_at: str | None
    sunset: str | None
    successor: SuccessorBody | None
    reason: str | None
    link: str | None
    contract: ContractBody
    row: dict[str, Cell]


class WelcomeLimits(PlanEntry):
    """The plan's, and those of the deployment that a tenant meets."""

    calls_at_once: int
    account_requests_per_minute: int
    seconds_per_call: int


class CommonError(Closed):
    """One of the five commonest."""

    status: int
    code: str
    cause: str
    remedy: str
    page: str


class WelcomeBody(Closed):
    """`contact` and `reference` are null where there are none; `again` are the answers after which the same call is sent again."""

    tenant: str
    address: str
    contact: str | None
    reference: str | None
    default_model: str | None
    first: FirstCall
    endpoints: list[WelcomeEndpoint]
    limits: WelcomeLimits
    errors: list[CommonError]
    again: list[str]


def welcome_router(parts: AdminParts) -> APIRouter:
    """A tenant's welcome page."""
    router = strict_router(prefix="/admin/tenants", tags=["admin: tenants"])

    @get_and_head(
        router,
        "/{tenant}/welcome",
        summary="The page for a partner's developer, without a key",
        operation_id="admin_welcome_tenant",
        response_model=None,
        responses={200: {"model": WelcomeBody, "content": CONTENT}, **{status: problem_ref(status) for status in (404, 406, 409)}},
    )
    @parts.limited
    def show(request: Request, principal: AdminReader, tenant: TenantPath, query: Annotated[GuideQuery, Query()]) -> Response:
        format = format_of(request, query.format)
        with said_by_admin(), parts.database.read() as session:
            facts = welcome(session, parts.settings, referred(session, tenant), parts.now())
        return answer_as(format, facts, title_of(facts), lambda: welcome_document(facts))

    return router
