"""`GET /account/usage`: what a tenant has used, by whatever it asks for, as JSON or CSV. Free, never metered."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from gatehouse.api.account_bodies import UsageBody
from gatehouse.api.model_bodies import answers_with
from gatehouse.api.principal import Needs
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.errors import InvalidInput
from gatehouse.principal import Principal, Scope
from gatehouse.usage.csv_text import csv_lines
from gatehouse.usage.figures_store import By, Figures, Usage

DEFAULT_DAYS = 31
MAX_DAYS = 366
MAX_DAYS_BY_HOUR = 31
PARAMETERS = ("since", "until", "by", "format")
CHOICES = {by.value: by for by in By if by is not By.TENANT}
DEFAULT_BY = "day,key,model,api_version,status"
SUMS = ("calls", "rows", "bytes_in", "bytes_out")
UsageReader = Annotated[Principal, Depends(Needs(Scope.USAGE_READ))]
ReadUsage = Callable[[str, date, date, Sequence[By]], Usage]


def account_usage_router(usage: ReadUsage, throttle: Throttle, per_minute: int) -> APIRouter:
    """`usage` asks the database, for a tenant, from a day to a day."""
    router = strict_router(prefix="/account", tags=["account"])

    @get_and_head(
        router,
        "/usage",
        summary="Your calls and rows by day, hour, key, model, API version and status",
        operation_id="show_usage",
        **answers_with(UsageBody, **{"text/csv": {"schema": {"type": "string"}}}),
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_key)
    def show_usage(
        request: Request,
        principal: UsageReader,
        since: Annotated[date | None, Query(description="First day, UTC, YYYY-MM-DD; 30 days before `until` by default")] = None,
        until: Annotated[date | None, Query(description="Last day, UTC, YYYY-MM-DD; today by default")] = None,
        by: Annotated[str, Query(description=f"What to add up by, a comma between two: {', '.join(CHOICES)}")] = DEFAULT_BY,
        format: Annotated[Literal["json", "csv"], Query(description="json or csv")] = "json",
    ) -> Response:
        check_parameters(request)
        chosen = choices(by)
        last = until or datetime.now(UTC).date()
        first = since or last - timedelta(days=min(DEFAULT_DAYS - 1, last.toordinal() - 1))
        check_span(first, last, MAX_DAYS_BY_HOUR if By.HOUR in chosen else MAX_DAYS)
        found = usage(principal.tenant_id, first, last, chosen)
        if format == "csv":
            return csv_answer(found.figures, chosen, first, last)
        return JSONResponse(
            {
                "tenant": principal.tenant,
                "since": first.isoformat(),
                "until": last.isoformat(),
                **{name: sum(getattr(each, name) for each in found.figures) for name in SUMS},
                "usage": [line_of(each, chosen) for each in found.figures],
                "refused": [{"status": each.status, "limit": each.limit, "calls": each.calls} for each in found.refused],
            }
        )

    return router


def check_parameters(request: Request) -> None:
    """A misspelt parameter would be answered for another span than was meant, one that is given twice too. Raises InvalidInput."""
    sent = [name for name, _ in request.query_params.multi_items()]
    unknown = sorted(set(sent) - set(PARAMETERS))
    twice = sorted({name for name in sent if name in PARAMETERS and sent.count(name) > 1})
    if unknown or twice:
        known = f"the parameters are {', '.join(PARAMETERS)}"
        errors = [{"parameter": name[:64], "code": "unknown_parameter", "detail": known} for name in unknown[:20]]
        errors += [{"parameter": name, "code": "out_of_range", "detail": "must be given once"} for name in twice]
        raise InvalidInput("The query has a parameter that is not known here, or one twice.", members={"errors": errors})


def choices(by: str) -> list[By]:
    """What a list of names asks for. Raises InvalidInput."""
    names = [name.strip() for name in by.split(",") if name.strip()]
    if not names or any(name not in CHOICES for name in names):
        raise refused("by", f"must be of {', '.join(CHOICES)}, a comma between two")
    return [CHOICES[name] for name in CHOICES if name in names]


def check_span(first: date, last: date, days: int) -> None:
    """Raises InvalidInput."""
    if first > last or (last - first).days >= days:
        by_hour = " when it is by hour" if days == MAX_DAYS_BY_HOUR else ""
        raise refused("since", f"since must not be after until, and the span at most {days} days{by_hour}")


def refused(parameter: str, detail: str) -> InvalidInput:
    """A parameter that cannot be."""
    return InvalidInput(members={"errors": [{"parameter": parameter, "code": "out_of_range", "detail": detail}]})


def line_of(figures: Figures, by: Sequence[By]) -> dict[str, Any]:
    """One line of usage; None where a call reached no model."""
    return {each.value: told(figures, each) for each in by} | {name: getattr(figures, name) for name in SUMS}


def told(figures: Figures, by: By) -> str | int | None:
    """What the figures are of."""
    if by is By.HOUR and figures.hour:
        return f"{figures.hour:%Y-%m-%dT%H:00:00Z}"
    if by is By.DAY and figures.day:
        return figures.day.isoformat()
    value: str | int | None = getattr(figures, "key_id" if by is By.KEY else by.value)
    return None if value == "" else value


def csv_answer(figures: Sequence[Figures], by: Sequence[By], first: date, last: date) -> Response:
    """The same lines under a header."""
    header = [*(each.value for each in by), *SUMS]
    lines = csv_lines([header, *(line_of(each, by).values() for each in figures)])
    name = f"usage-{first}-{last}.csv"
    return Response(lines, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'})
