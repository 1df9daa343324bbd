"""`/admin/plans`: named sets of limits."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field
from sqlmodel import Session

from gatehouse.api.admin.changing import (
    LEFT_OUT,
    AdminReader,
    AdminWriter,
    changes,
    check_not_empty,
    guarded_database,
    said_by_admin,
)
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed, Count, RateEntry, rate_of
from gatehouse.api.keys import Body
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.identity import plans, store
from gatehouse.identity.names import NAME
from gatehouse.identity.page_store import page_of_plans
from gatehouse.identity.tenants import DEFAULT_PLAN
from gatehouse.principal import LimitMode, Plan, QuotaMode

MostRows = Annotated[int, Field(ge=1, le=2**63 - 1)]
PlanName = Annotated[str, Field(pattern=f"^{NAME.pattern}$", description="Small letters, digits, '-' and '_'")]
PlanPath = Annotated[str, Path(pattern=f"^{NAME.pattern}$", description="The plan's name")]


class PlanEntry(Closed):
    """A plan."""

    name: str
    requests: RateEntry
    rows: RateEntry
    rows_per_month: int
    quota: QuotaMode
    rows_per_call: int
    bytes_per_call: int
    requests_mode: LimitMode
    rows_mode: LimitMode


class PlanList(Closed):
    """By name."""

    items: list[PlanEntry]
    next: str | None


class PlanEdit(Closed):
    """What to change; what is left out stays."""

    requests: RateEntry = LEFT_OUT
    rows: RateEntry = LEFT_OUT
    rows_per_month: MostRows = LEFT_OUT
    quota: QuotaMode = LEFT_OUT
    rows_per_call: Count = LEFT_OUT
    bytes_per_call: Count = LEFT_OUT
    requests_mode: LimitMode = LEFT_OUT
    rows_mode: LimitMode = LEFT_OUT


class NewPlan(PlanEdit):
    """A plan to be made; what is left out is as in the plan trial."""

    name: PlanName


def plans_router(parts: AdminParts) -> APIRouter:
    """List, make, show and change plans."""
    router = strict_router(prefix="/admin/plans", tags=["admin: plans"])

    @get_and_head(router, "", summary="All plans", operation_id="admin_list_plans")
    @parts.limited
    def list_plans(request: Request, principal: AdminReader, query: Annotated[PageQuery, Query()]) -> PlanList:
        after = query.after("plans", str)
        with parts.database.read() as session:
            found = page_of_plans(session, after[0] if after else None, query.limit + 1)
        items, cursor = query.cut("plans", found, lambda plan: (plan.name,))
        return PlanList(items=[entry(plan) for plan in items], next=cursor)

    @router.post(
        "",
        summary="Make a plan",
        operation_id="admin_create_plan",
        status_code=201,
        **changes(409, body=NewPlan, matched=False, stays=True),
    )
    @parts.limited
    def create_plan(request: Request, response: Response, principal: AdminWriter, body: Body) -> PlanEntry:
        asked = parsed(request, body, NewPlan)
        with parts.database.read() as session:
            trial = plans.named_plan(session, DEFAULT_PLAN)
        with said_by_admin():
            wished = edited(replace(trial, name=asked.name), asked)
            made = plans.create_plan(guarded_database(request, parts), actor_of(request, principal), wished)
        response.headers["Location"] = f"/admin/plans/{made.name}"
        return tagged(response, entry(made))

    @get_and_head(router, "/{plan}", summary="One plan", operation_id="admin_show_plan", responses={200: SHOWN_TAG})
    @parts.limited
    def show_plan(request: Request, response: Response, principal: AdminReader, plan: PlanPath) -> PlanEntry:
        with parts.database.read() as session:
            return tagged(response, shown(session, plan))

    @router.patch("/{plan}", summary="Change a plan's limits", operation_id="admin_edit_plan", **changes(409, body=PlanEdit, stays=True))
    @parts.limited
    def edit_plan(request: Request, response: Response, principal: AdminWriter, plan: PlanPath, body: Body) -> PlanEntry:
        asked = parsed(request, body, PlanEdit)
        check_not_empty(asked)
        database = guarded_database(request, parts, lambda session: shown(session, plan))
        with said_by_admin():
            made = plans.edit_plan(database, actor_of(request, principal), plan, lambda before: edited(before, asked))
        return tagged(response, entry(made))

    return router


def shown(session: Session, name: str) -> PlanEntry:
    """Raises NotFound."""
    found = store.find_plan(session, name)
    if found is None:
        raise NotFound(reason="no_such_plan")
    return entry(found)


def edited(plan: Plan, asked: PlanEdit) -> Plan:
    """The plan with what is asked for."""
    values: dict[str, Any] = {name: getattr(asked, name) for name in asked.model_fields_set - {"name"}}
    if "quota" in values:
        values["quota_mode"] = values.pop("quota")
    for name in {"requests", "rows"} & values.keys():
        values[name] = rate_of(values[name])
    return replace(plan, **values)


def entry(plan: Plan) -> PlanEntry:
    """A plan by the list of fields."""
    return PlanEntry(
        name=plan.name,
        requests=RateEntry.of(plan.requests),
        rows=RateEntry.of(plan.rows),
        rows_per_month=plan.rows_per_month,
        quota=plan.quota_mode,
        rows_per_call=plan.rows_per_call,
        bytes_per_call=plan.bytes_per_call,
        requests_mode=plan.requests_mode,
        rows_mode=plan.rows_mode,
    )
