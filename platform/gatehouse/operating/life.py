"""How an endpoint begins and ends: its preview, deprecation, extensions and retirement, with who still calls it and who is told."""

from datetime import UTC, date, datetime, timedelta

from sqlmodel import Session

from gatehouse.errors import Refused, about
from gatehouse.identity.store import list_grants
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration import store
from gatehouse.migration.bridging import check_still_leads
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import Step, change_life
from gatehouse.migration.moves import ENDED
from gatehouse.migration.transitions import LIVE_DAYS, Announcement, LiveCalls, deprecated, extended, retired, undeprecated, unextended
from gatehouse.operating.desk import Desk
from gatehouse.operating.heralds import herald_of
from gatehouse.usage.figures_store import By, UsageFilter, figures_of, read_figures


def activate(desk: Desk, model: str, api_version: str) -> Endpoint:
    """End its preview: grants of the whole model cover it from now on. Raises Refused, NotKnown."""
    with desk.database.write() as session:
        return store.activate(session, desk.actor, model, api_version)


def deprecate(desk: Desk, model: str, api_version: str, said: Announcement) -> Endpoint:
    """Announce its end, or move it; tenants are told. Raises Refused, NotKnown."""
    now = datetime.now(UTC)
    with desk.database.write() as session:
        return _change(desk, session, "deprecate", (model, api_version), lambda seen, all_: deprecated(seen, all_, said, now))


def undeprecate(desk: Desk, model: str, api_version: str) -> Endpoint:
    """Serve it on without an end, also when it was retired. Raises Refused, NotKnown."""

    def back(seen: Endpoint, siblings: list[Endpoint]) -> Endpoint:
        check_still_leads(seen, siblings, datetime.now(UTC))
        return undeprecated(seen)

    with desk.database.write() as session:
        return _change(desk, session, "undeprecate", (model, api_version), back)


def extend(desk: Desk, model: str, api_version: str, tenant: str, until: date) -> Endpoint:
    """Let one tenant call it past its sunset, or move that day. Raises Refused, NotKnown."""
    now = datetime.now(UTC)
    with desk.database.write() as session:
        with about("tenant"):
            tenant_id = granted(session, tenant, model, api_version)
        return _change(desk, session, "extend", (model, api_version), lambda seen, _all: extended(seen, tenant_id, tenant, until, now))


def unextend(desk: Desk, model: str, api_version: str, tenant: str) -> Endpoint:
    """Take a tenant's extension back: its sunset is that of all others. Raises Refused, NotKnown."""
    with desk.database.write() as session:
        return _change(desk, session, "unextend", (model, api_version), lambda seen, _all: unextended(seen, tenant))


def retire(desk: Desk, model: str, api_version: str, *, force: bool) -> Endpoint:
    """End it now; unless forced, only where nobody has called it lately. Raises Refused, NotKnown."""
    now = datetime.now(UTC)
    with desk.database.write() as session:
        live = live_calls(session, model, api_version, now)
        step: Step = lambda seen, all_: retired(seen, all_, live, now, force=force)  # noqa: E731
        return _change(desk, session, "retire", (model, api_version), step, forced=force)


def live_calls(session: Session, model: str, api_version: str, now: datetime) -> list[LiveCalls]:
    """Who has called an endpoint in the last 7 days, and was not told that it is gone; most calls first."""
    since = now - timedelta(days=LIVE_DAYS)
    by = (By.HOUR, By.TENANT, By.MODEL, By.API_VERSION, By.STATUS)
    calls: dict[str, int] = {}
    last: dict[str, datetime] = {}
    figures, _ = figures_of(UsageFilter(since.date(), now.date(), model=model), by)  # of this model alone: the change waits for it
    for each in read_figures(session, figures):
        ours = each.api_version == api_version and each.status != ENDED
        if ours and each.tenant and each.hour and each.hour + timedelta(hours=1) > since:
            calls[each.tenant] = calls.get(each.tenant, 0) + each.calls
            last[each.tenant] = max(each.hour, last.get(each.tenant, each.hour))
    return [LiveCalls(tenant, calls[tenant], last[tenant]) for tenant in sorted(calls, key=lambda name: (-calls[name], name))]


def granted(session: Session, tenant: str, model: str, api_version: str) -> str:
    """The tenant's id. Raises NotKnown; Refused where it may not call the endpoint."""
    known = named_tenant(session, tenant)
    if any(grant.model == model and grant.api_version in (None, api_version) for grant in list_grants(session, known)):
        return known.id
    fact = f"{tenant} may not call {model}/{api_version} at all"
    raise Refused(f"{fact}: gatehouse grants add {tenant} {model} --api-version {api_version}", fact=fact)


def _change(desk: Desk, session: Session, action: str, name: tuple[str, str], step: Step, *, forced: bool = False) -> Endpoint:
    herald = herald_of(desk.settings, session)
    return change_life(session, desk.actor, action, *name, step, forced=forced, herald=herald)
