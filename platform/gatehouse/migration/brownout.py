"""Which brownouts of an endpoint may be planned or rehearsed. What cannot be is refused with the facts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Brownout, Endpoint, EndpointState

ANNOUNCED_BEFORE = timedelta(hours=24)
"""How long before its beginning a window is told of, unless it is forced."""
LONGEST_MIN = 60
LONGEST_REHEARSAL_MIN = 30
MOST_PLANNED = 100
"""Windows of an endpoint that are not over."""


@dataclass(frozen=True, slots=True)
class Wish:
    """From when, for how many minutes, which percentage of the calls, and whose; of all tenants where none is named."""

    starts_at: datetime
    minutes: int
    percent: int = 100
    tenant_id: str | None = None


def planned(endpoint: Endpoint, wish: Wish, id: str, now: datetime, *, force: bool) -> Brownout:
    """A window of a deprecated endpoint. Raises Refused."""
    _check_state(endpoint, endpoint.state)
    _check_size(wish.minutes, LONGEST_MIN, wish.percent)
    window = Brownout(id, wish.starts_at, _end_of(endpoint, wish), wish.percent, wish.tenant_id)
    _check_time(endpoint, window, now, force=force)
    others = [each for each in endpoint.brownouts if each.key_id is None]
    _check_overlap(endpoint, window, others)
    if len(others) >= MOST_PLANNED:
        fact = f"{endpoint.name} has {MOST_PLANNED} brownouts planned already"
        raise Refused(f"{fact}: {_listed(endpoint)}", fact=fact)
    return window


def rehearsed(endpoint: Endpoint, wish: Wish, key_id: str, id: str, now: datetime) -> Brownout:
    """A window of one key that is open now. Raises Refused."""
    _check_state(endpoint, endpoint.state_at(now, wish.tenant_id))
    _check_size(wish.minutes, LONGEST_REHEARSAL_MIN, wish.percent)
    return Brownout(id, now, now + timedelta(minutes=wish.minutes), wish.percent, wish.tenant_id, key_id)


def within_life(endpoint: Endpoint) -> tuple[Brownout, ...]:
    """Those of its windows that are over before it ends for those whom they are for; rehearsals end by themselves."""
    ends = {each.tenant_id: _last_moment(endpoint, each.tenant_id) for each in endpoint.brownouts}
    return tuple(each for each in endpoint.brownouts if each.key_id or (last := ends[each.tenant_id]) is None or each.ends_at <= last)


def _check_state(endpoint: Endpoint, state: EndpointState) -> None:
    if state != "deprecated":
        raise Refused(f"{endpoint.name} is {state}; only an endpoint that is deprecated and still answers can be browned out")


def _check_size(minutes: int, longest: int, percent: int) -> None:
    if not 1 <= minutes <= longest:
        raise Refused(f"a brownout lasts 1 to {longest} minutes", member="minutes")
    if not 1 <= percent <= 100:
        raise Refused("a brownout takes 1 to 100 percent of the calls", member="share")


def _check_time(endpoint: Endpoint, window: Brownout, now: datetime, *, force: bool) -> None:
    if window.starts_at < now:
        raise Refused(f"{window.starts_at:%Y-%m-%d %H:%M} UTC is past; it is {now:%Y-%m-%d %H:%M} UTC", member="starts_at")
    if window.starts_at < now + ANNOUNCED_BEFORE and not force:
        hours = int(ANNOUNCED_BEFORE.total_seconds() // 3600)
        fact = f"callers are told {hours} hours before a brownout; for one that begins sooner"
        raise Refused(f"{fact}: --force", fact=f"{fact}, send force", member="starts_at")
    last = _last_moment(endpoint, window.tenant_id)
    if last is not None and window.ends_at > last:
        raise Refused(f"{endpoint.name} ends on {last.date()} (UTC); a brownout comes before that", member="starts_at")


def _end_of(endpoint: Endpoint, wish: Wish) -> datetime:
    try:
        return wish.starts_at + timedelta(minutes=wish.minutes)
    except OverflowError:
        raise Refused(f"{endpoint.name} ends before the calendar does; a brownout comes before that", member="starts_at") from None


def _check_overlap(endpoint: Endpoint, window: Brownout, others: list[Brownout]) -> None:
    for each in others:
        shared = None in (each.tenant_id, window.tenant_id) or each.tenant_id == window.tenant_id
        if shared and window.starts_at < each.ends_at and each.starts_at < window.ends_at:
            span = f"{each.starts_at:%Y-%m-%d %H:%M} to {each.ends_at:%H:%M} UTC"
            fact = f"it would overlap {each.id} ({span})"
            raise Refused(f"{fact}: gatehouse endpoints cancel-brownout {each.id}", fact=fact)


def _last_moment(endpoint: Endpoint, tenant_id: str | None) -> datetime | None:
    """When it ends for a tenant, or where none is named for the last of all."""
    whose = [tenant_id] if tenant_id else [None, *(each.tenant_id for each in endpoint.extensions)]
    moments = [endpoint.last_moment(each) for each in whose]
    return max((each for each in moments if each is not None), default=None)


def _listed(endpoint: Endpoint) -> str:
    return f"gatehouse endpoints brownouts {endpoint.model} {endpoint.api_version}"
