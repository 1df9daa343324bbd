"""Usage events, spools and recorders."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatehouse.db.session import Database
from gatehouse.usage.event import UsageEvent, month_name, uuid7
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Bounds, Spool

NOON_US = 1_794_744_000_000_000
"""2026-11-15 12:00 UTC."""

MakeEvent = Callable[..., UsageEvent]


@pytest.fixture
def make_event() -> MakeEvent:
    numbers = itertools.count(1)

    def make(**more: Any) -> UsageEvent:
        number = next(numbers)
        at_us = more.get("at_us", NOON_US)
        columns: dict[str, Any] = {
            "id": uuid7(at_us // 1000, lambda _: number),
            "at_us": at_us,
            "month": month_name(at_us),
            "process_id": "p1",
            "tenant_id": "t",
            "key_id": "k",
            "model": "iris",
            "api_version": "v1",
            "model_version": "1.0.0",
            "engine": "onnx",
            "rows": 2,
            "status": 200,
            "code": None,
            "latency_us": 300,
            "bytes_in": 100,
            "bytes_out": 200,
            "request_id": f"r{number}",
        }
        return UsageEvent(**{**columns, **more})

    return make


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def open_spool(spool_dir: Path) -> Iterator[Callable[..., Spool]]:
    opened: list[Spool] = []

    def open_one(process_id: str = "p1", **more: int) -> Spool:
        durable = bool(more.pop("durable", False))
        spool = Spool.open(spool_dir, process_id, Bounds(**({"min_free_bytes": 0} | more)), durable=durable)
        opened.append(spool)
        return spool

    yield open_one
    for spool in opened:
        spool.release()


@pytest.fixture
def ended() -> list[str]:
    """The processes that were reported as wholly taken."""
    return []


@pytest.fixture
def record(ended: list[str]) -> Callable[..., Recorder]:
    def make(spool: Spool, database: Database, **more: Any) -> Recorder:
        return Recorder(spool, database, ended.append, **more)

    return make
