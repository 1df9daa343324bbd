"""`gatehouse usage show`: what was metered, by day."""

import time
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS

from gatehouse.db.session import open_database
from gatehouse.usage.event import UsageEvent, uuid7
from gatehouse.usage.store import insert_batch


@pytest.fixture
def used(gatehouse: Any, state_dir: Path) -> Any:
    """A deployment with three calls of acme and one of demo."""
    tenants = {name: gatehouse("tenants", "create", name, "--json").json["id"] for name in ("acme", "demo")}
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    calls = (("acme", "k1", "iris", 5, 200), ("acme", "k2", "iris", 7, 200), ("acme", "k1", None, 0, 404), ("demo", "k3", "iris", 1, 200))
    with database.write() as session:
        insert_batch(session, [_event(number, tenants[tenant], *rest) for number, (tenant, *rest) in enumerate(calls)])
    database.close()
    return gatehouse


def _event(number: int, tenant_id: str, key_id: str, model: str | None, rows: int, status: int) -> UsageEvent:
    now = time.time_ns() // 1000
    return UsageEvent(
        id=uuid7(now // 1000, lambda _: number),
        at_us=now,
        month=time.strftime("%Y-%m", time.gmtime(now / 1e6)),
        process_id="p",
        tenant_id=tenant_id,
        key_id=key_id,
        model=model,
        api_version=model and "v1",
        model_version=model and "1.0.0",
        engine=model and "onnx",
        rows=rows,
        status=status,
        code=None,
        latency_us=1_000,
        bytes_in=10,
        bytes_out=20,
        request_id=f"r-{number}",
    )


def test_usage_is_shown_by_endpoint_whole_also_in_a_pipe(used: Any) -> None:
    answer = used("usage", "show")
    assert "iris" in answer.out
    assert "…" not in answer.out
    assert answer.lines[-1].endswith("4 calls, 13 rows metered")


def test_usage_of_one_tenant_by_key_as_json(used: Any) -> None:
    rows = used("usage", "show", "--tenant", "acme", "--by", "key,model,status", "--json").json
    assert [(row["key_id"], row["model"], row["status"], row["calls"], row["rows"]) for row in rows] == [
        ("k1", None, 404, 1, 0),
        ("k1", "iris", 200, 1, 5),
        ("k2", "iris", 200, 1, 7),
    ]
    assert "k2" in used("usage", "show", "--by", "key").out


def test_bars_compare_rows_and_what_is_not_nothing_shows(used: Any) -> None:
    shown = used("usage", "show", "--by", "key").lines
    lines = [line for line in shown if line.startswith((" k1", " k2", " k3"))]
    assert [line.count("█") for line in lines] == [17, 24, 3]
    [heading] = [line for line in shown if "key id" in line]
    assert heading.index("rows, compared") == lines[0].index("█")


@pytest.mark.parametrize("by", ["kee", "", "day,endpoint"])
def test_what_cannot_be_added_up_by_says_what_can(used: Any, by: str) -> None:
    assert (
        "write --by as day,tenant: of day, hour, tenant, key, model, api_version, status" in used("usage", "show", "--by", by, code=2).error
    )


@pytest.mark.parametrize("command", ["show", "export"])
def test_a_span_that_ends_before_it_begins_is_refused_with_its_days(used: Any, command: str) -> None:
    refused = used("usage", command, "--since", "2026-11-10", "--until", "2026-11-09", code=2)
    assert "--since is 2026-11-10, which is after --until, 2026-11-09: write the earlier day as --since" in refused.error
    used("usage", command, "--since", "2026-11-10", "--until", "2026-11-10")


def test_usage_of_nobody_says_so(used: Any) -> None:
    nobody = used("usage", "show", "--since", "2999-01-01", "--until", "2999-01-31").lines[0]
    assert nobody.startswith("no calls of anybody since 2999-01-01 until 2999-01-31;")
    assert used("usage", "show", "--tenant", "acmee", code=1).error.startswith("gatehouse: no tenant 'acmee'; known tenants: acme, demo")
    assert "write a moment as" in used("usage", "show", "--since", "ever", code=2).error
