"""What a guide tells a caller of its own calls: the last ones to the older version, and the fields that could not be upgraded."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

from sqlmodel import Session

from gatehouse.migration.compared_store import compared_with
from gatehouse.migration.moves import Calls
from gatehouse.migration.moves_store import calls_of
from gatehouse.migration.report_standing import SPAN_DAYS, first_day
from gatehouse.migration.store import named_endpoint


def own_calls(session: Session, model: str, old: str, new: str, tenant_id: str, key_id: str, now: datetime) -> dict[str, Any]:
    """Of one key and its whole tenant over the days of the report; `last_hour` is the beginning of the hour of the last call.

    `failing` is of the way to the newer version alone. Raises NotKnown.
    """
    since = first_day(now)
    found = calls_of(session, model, (old,), datetime.combine(since, time(), UTC), tenant_id)
    failures = compared_with(session, model, old, named_endpoint(session, model, new), since, tenant_id).failures
    return {
        "days": SPAN_DAYS,
        "key": _summed([each for each in found if each.key_id == key_id]),
        "tenant": _summed(found),
        "failing": [{"field": each.field, "code": each.code, "rows": each.rows} for each in failures],
    }


def _summed(found: Sequence[Calls]) -> dict[str, Any]:
    last = max((each.last for each in found if each.last is not None), default=None)
    return {"calls": sum(each.calls for each in found), "last_hour": None if last is None else f"{last:%Y-%m-%dT%H:00:00Z}"}
