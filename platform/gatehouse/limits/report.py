"""How a decision is told to the caller: RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10), Retry-After and problem documents."""

from collections.abc import Iterable
from typing import Any, NoReturn

from gatehouse.errors import LimitShareTooSmall, RateLimited, RowsExceedLimit
from gatehouse.limits.rate import Decision, RateLimit

MICROSECONDS = 1_000_000


def policy_field(limits: Iterable[RateLimit]) -> str:
    """The value of `RateLimit-Policy`: of each limit its burst and the seconds in which a spent one is whole again."""
    return ", ".join([limit.policy for limit in limits])


def state_template(limits: Iterable[RateLimit]) -> str:
    """The value of `RateLimit`, to be filled in with the `numbers` of a decision on these limits or on their shares."""
    return ", ".join([limit.state for limit in limits])


def numbers(decision: Decision) -> tuple[int, ...]:
    """Of each limit what is left (as `RateLimit.left` says) and the seconds until its burst is whole again."""
    found: tuple[int, ...] = ()
    for limit, backlog in zip(decision.limits, decision.backlogs):  # noqa: B905 - as many by nature, and on every call
        found += (0 if limit.closed else (limit.depth - backlog) // limit.cost, -(-backlog // limit.ticks_a_second))
    return found


def refuse(decision: Decision) -> NoReturn:
    """End a call that was not admitted. Raises RateLimited; RowsExceedLimit when no wait would ever be enough for so many rows.

    A closed limit (0 allowed) is RateLimited without Retry-After, since waiting does not help. Where only the share that is decided on
    now could never let so much in, it is LimitShareTooSmall.
    """
    if decision.refused_by is None:
        raise ValueError("the decision admitted the call")
    limit = decision.refused_by.whole or decision.refused_by
    facts = _facts(limit)
    whose = "your organisation's" if limit.scope == "tenant" else "your key's"
    if limit.closed:
        detail = f"{whose.capitalize()} limit allows no {limit.unit} at all. Ask whoever gave you the key to change it."
        raise RateLimited(detail, reason=f"{limit.name}_closed", members={"limit": facts})
    if decision.wait_us is None and limit is not decision.refused_by:
        most = facts["burst_now"] = decision.refused_by.burst
        remedy = f"Send at most {most} rows in a call." if most and limit.unit == "rows" else "Tell the operators."
        detail = f"The service shares its limits among its processes now, and no share of {whose} lets so many {limit.unit} in. {remedy}"
        raise LimitShareTooSmall(detail, reason=f"{limit.name}_share", members={"limit": facts})
    if decision.wait_us is None:
        detail = f"One call can have at most {limit.burst} rows by {whose} limit. Split the rows over several calls."
        raise RowsExceedLimit(detail, reason=f"{limit.name}_burst", members={"limit": facts})
    seconds = max(1, _up(decision.wait_us, MICROSECONDS))
    detail = f"{whose.capitalize()} limit of {limit.unit} is used up for now. Send the call again after {seconds} s."
    facts["retry_after_ms"] = _up(decision.wait_us, 1000)
    raise RateLimited(detail, reason=limit.name, headers=[("Retry-After", str(seconds))], members={"limit": facts})


def _facts(limit: RateLimit) -> dict[str, Any]:
    return {
        "name": limit.name,
        "scope": limit.scope,
        "unit": limit.unit,
        "count": limit.count,
        "period_s": limit.period_us // MICROSECONDS,
        "burst": limit.burst,
    }


def _up(amount: int, unit: int) -> int:
    return -(-amount // unit)
