"""What a guide tells a caller of its own calls: the last ones to the older version, and the fields that could not be upgraded."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from gatehouse.migration.moves import Calls
from gatehouse.migration.moves_store import calls_of
from gatehouse.migration.shadow_store import upgrade_failures

DAYS = 30


def own_calls(session: Session, model: str, api_version: str, tenant_id: str, key_id: str, now: datetime) -> dict[str, Any]:
    """Of one key and its whole tenant in the last 30 days; `last_hour` is the beginning of the hour of the last call."""
    since = now - timedelta(days=DAYS)
    found = calls_of(session, model, (api_version,), since, tenant_id)
    failures = upgrade_failures(session, model, api_version, since.date(), tenant_id)
    return {
        "days": DAYS,
        "key": _summed([each for each in found if each.key_id == key_id]),
        "tenant": _summed(found),
        "failing": [{"field": each.field, "code": each.code, "rows": each.rows} for each in failures],
    }


def _summed(found: Sequence[Calls]) -> dict[str, Any]:
    last = max((each.last for each in found if each.last is not None), default=None)
    return {"calls": sum(each.calls for each in found), "last_hour": None if last is None else f"{last:%Y-%m-%dT%H:00:00Z}"}
