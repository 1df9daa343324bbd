"""Plans: named sets of limits, and what a limit may be."""

from collections.abc import Callable

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity import store
from gatehouse.identity.names import check_name
from gatehouse.principal import Plan, Rate

LARGEST = 2**31 - 1
"""What a plan's columns hold."""
LARGEST_PER_SECOND = 1_000_000
"""The limiter counts in microseconds."""


def create_plan(database: Database, actor: Actor, plan: Plan) -> Plan:
    """A new plan. Raises Refused."""
    check_name("plan", plan.name)
    check_plan(plan)
    with database.write() as session:
        hold_revision(session)
        if store.find_plan(session, plan.name) is not None:
            said = f"there is a plan {plan.name!r} already: change it with gatehouse plans edit {plan.name}"
            raise Refused(said, fact="there is a plan of this name already")
        store.add_plan(session, plan)
        record_change(session, "plan", plan.name)
        record_audit(session, actor, "plan.create", plan.name, after=facts_of_plan(plan))
    return plan


def edit_plan(database: Database, actor: Actor, name: str, change: Callable[[Plan], Plan]) -> Plan:
    """Give the plan of this name other limits; its tenants have them at once. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        before = named_plan(session, name)
        after = change(before)
        check_plan(after)
        if before != after:
            store.change_plan(session, after)
            record_change(session, "plan", name)
            record_audit(session, actor, "plan.edit", name, before=facts_of_plan(before), after=facts_of_plan(after))
    return after


def list_plans(database: Database) -> list[Plan]:
    """All plans by name."""
    with database.read() as session:
        return store.list_plans(session)


def show_plan(database: Database, name: str) -> Plan:
    """Raises NotKnown."""
    with database.read() as session:
        return named_plan(session, name)


def named_plan(session: Session, name: str) -> Plan:
    """Raises NotKnown."""
    plan = store.find_plan(session, name)
    if plan is None:
        raise NotKnown("plan", name, (known.name for known in store.list_plans(session)), member="plan")
    return plan


def check_plan(plan: Plan) -> None:
    """Raises Refused when a limit cannot be kept or contradicts another."""
    check_rate("requests", plan.requests)
    check_rate("rows", plan.rows)
    numbers = {"rows_per_call": plan.rows_per_call, "bytes_per_call": plan.bytes_per_call, "rows_per_month": plan.rows_per_month}
    for member, number in numbers.items():
        _check_number(member, number, 2**63 - 1 if member == "rows_per_month" else LARGEST)
    if plan.quota_mode not in ("hard", "soft"):
        raise Refused(f"the quota is hard or soft, not {plan.quota_mode!r}", fact="the quota is hard or soft", member="quota")
    for what, mode in (("requests", plan.requests_mode), ("rows", plan.rows_mode)):
        if mode not in ("enforce", "observe"):
            fact = f"the mode of {what} is enforce or observe"
            raise Refused(f"{fact}, not {mode!r}", fact=fact, member=f"{what}_mode")
    if plan.rows_per_call > plan.rows.burst:
        wish = f"a call of {plan.rows_per_call} rows could never pass a burst of {plan.rows.burst} rows"
        raise Refused(f"{wish}: raise the burst or lower the rows a call", member="rows_per_call")


def _check_number(member: str, number: int, largest: int) -> None:
    if not 1 <= number <= largest:
        what = {"rows_per_call": "rows a call", "bytes_per_call": "bytes a call", "rows_per_month": "rows a month"}[member]
        fact = f"{what} must be 1 to {largest}"
        raise Refused(f"{fact}, not {number}", fact=fact, member=member)


def check_rate(what: str, rate: Rate) -> None:
    """A count or burst of 0 lets nothing in. Raises Refused when the limiter cannot keep this rate."""
    if min(rate.count, rate.burst) < 0 or rate.period_s < 1 or max(rate.count, rate.period_s, rate.burst) > LARGEST:
        raise Refused(f"count and burst of {what} must be 0 to {LARGEST}, the period at least 1 s", member=what)
    if rate.count > LARGEST_PER_SECOND * rate.period_s:
        raise Refused(f"{what} can be limited to at most {LARGEST_PER_SECOND} a second", member=what)


def check_key_rate(what: str, own: Rate, plan: Plan, of_plan: Rate) -> None:
    """Raises Refused when a key would be given more than its tenant has."""
    check_rate(what, own)
    if own.count * of_plan.period_s > of_plan.count * own.period_s or own.burst > of_plan.burst:
        raise Refused(
            f"a key has at most what its tenant has: plan {plan.name} lets in {of_plan.count} {what} in {of_plan.period_s} s, "
            f"burst {of_plan.burst}",
            member=what,
        )


def facts_of_plan(plan: Plan) -> dict[str, object]:
    """A plan for the audit trail and for programs."""
    return {
        "name": plan.name,
        "requests": facts_of_rate(plan.requests),
        "rows": facts_of_rate(plan.rows),
        "rows_per_month": plan.rows_per_month,
        "quota": plan.quota_mode,
        "rows_per_call": plan.rows_per_call,
        "bytes_per_call": plan.bytes_per_call,
        "requests_mode": plan.requests_mode,
        "rows_mode": plan.rows_mode,
    }


def facts_of_rate(rate: Rate) -> dict[str, int]:
    return {"count": rate.count, "period_s": rate.period_s, "burst": rate.burst}
