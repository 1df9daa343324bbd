"""Calls that came some time ago, as the recorder writes them down."""

import itertools
from datetime import datetime, timedelta
from typing import Any

from gatehouse.db.session import Database
from gatehouse.usage.event import UsageEvent, month_name, uuid7
from gatehouse.usage.store import insert_batch

_numbers = itertools.count(1)


def call(now: datetime, tenant_id: str, ago: timedelta, status: int = 200, **more: Any) -> UsageEvent:
    """A usage event of a call of key `k1` to iris v1, so long before `now`."""
    at_us, number = int((now - ago).timestamp()) * 1_000_000, next(_numbers)
    columns = {"id": uuid7(at_us // 1000, lambda _: number), "at_us": at_us, "month": month_name(at_us), "process_id": "p1"}
    columns |= {"tenant_id": tenant_id, "key_id": "k1", "model": "iris", "api_version": "v1", "model_version": "1.0.0", "engine": "onnx"}
    columns |= {"rows": 2, "status": status, "code": None, "latency_us": 3, "bytes_in": 1, "bytes_out": 2, "request_id": f"r{number}"}
    return UsageEvent(**{**columns, **more})


def insert_calls(database: Database, *events: UsageEvent) -> None:
    with database.write() as session:
        insert_batch(session, events)
