"""`gatehouse usage verify`, `export` and `erase`: figures are traced to events, and events taken away on request."""

import csv
import io
import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlalchemy import update

from gatehouse.db.session import Database, open_database
from gatehouse.db.tables import TenantTable, UsageDayTable
from gatehouse.migration.shadow_store import add_shadows, shadow_figures
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums
from gatehouse.usage.event import UsageEvent, month_name, uuid7
from gatehouse.usage.store import insert_batch

OLD = (datetime.now(UTC).replace(day=1, hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)).replace(microsecond=250)


@pytest.fixture
def database(state_dir: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    yield opened
    opened.close()


@pytest.fixture
def used(gatehouse: Any, database: Database) -> Any:
    """Acme had two calls some weeks ago and one now; demo had one."""
    ids = {name: gatehouse("tenants", "create", name, "--json").json["id"] for name in ("acme", "demo")}
    calls = (("acme", OLD, 5), ("acme", OLD + timedelta(hours=1), 7), ("acme", datetime.now(UTC), 1), ("demo", datetime.now(UTC), 2))
    with database.write() as session:
        insert_batch(session, [_event(number, ids[tenant], at, rows) for number, (tenant, at, rows) in enumerate(calls)])
    return gatehouse


def _event(number: int, tenant_id: str, at: datetime, rows: int) -> UsageEvent:
    at_us = round(at.timestamp() * 1e6)
    return UsageEvent(
        id=uuid7(at_us // 1000, lambda _: number),
        at_us=at_us,
        month=month_name(at_us),
        process_id="p",
        tenant_id=tenant_id,
        key_id="k",
        model="iris",
        api_version="v1",
        model_version="1.0.0",
        engine="onnx",
        rows=rows,
        status=200,
        code=None,
        latency_us=1_000,
        bytes_in=10,
        bytes_out=20,
        request_id="@request" if number == 0 else f"r-{number}",
    )


def test_verify_proves_that_sums_equal_their_events(used: Any) -> None:
    answer = used("usage", "verify")
    assert answer.lines == ["4 events of 3 tenant-days equal their sums by hour and by day"]
    assert [line.strip() for line in answer.error.splitlines()] == [
        f"acme {OLD.date()}",
        f"acme {datetime.now(UTC).date()}",
        f"demo {datetime.now(UTC).date()}",
    ]
    of_acme = used("usage", "verify", "--tenant", "acme", "--since", "1d")
    assert of_acme.lines == ["1 event of 1 tenant-day equal their sums by hour and by day"]


def test_verify_says_what_differs_and_fails(used: Any, database: Database) -> None:
    with database.write() as session:
        session.execute(update(UsageDayTable).where(UsageDayTable.rows == 12).values(rows=13))
    answer = used("usage", "verify", code=1)
    (row,) = [line.split() for line in answer.lines if line.strip().startswith("acme")]
    assert row == ["acme", str(OLD.date()), "day", "k", "iris", "v1", "200", "rows", "12", "13"]
    facts = used("usage", "verify", "--json", code=1).json
    assert (facts["equal"], facts["days"], len(facts["differences"])) == (False, 3, 1)
    assert facts["differences"][0]["expected"]["rows"] == 12


def test_events_are_exported_as_csv_and_no_cell_starts_a_formula(used: Any, database: Database) -> None:
    with database.write() as session:  # by SQL alone: no command makes such a name
        session.execute(update(TenantTable).where(TenantTable.name == "demo").values(name="=cmd|' /C calc'!A0"))
    answer = used("usage", "export", "--since", "60d")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [(row["tenant"], row["rows"]) for row in rows] == [("'=cmd|' /C calc'!A0", "2"), ("acme", "5"), ("acme", "7"), ("acme", "1")]
    assert rows[1]["at"] == OLD.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert rows[1]["request_id"] == "'@request"
    assert "4 events written" in answer.error


def test_a_tenants_events_are_exported_into_a_file_that_is_whole(used: Any, tmp_path: Path) -> None:
    file = tmp_path / "acme.ndjson"
    answer = used("usage", "export", "--tenant", "acme", "--since", "60d", "--format", "ndjson", "--output", file)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [event["rows"] for event in events] == [5, 7, 1]
    assert {event["tenant"] for event in events} == {"acme"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (answer.out, list(tmp_path.glob(".acme*"))) == ("", [])
    assert used("usage", "export", "--out", tmp_path / "none" / "x.csv", code=1).error.startswith("gatehouse: ")


def test_nothing_is_left_of_an_export_that_failed(used: Any, tmp_path: Path) -> None:
    assert "no tenant 'nobody'" in used("usage", "export", "--tenant", "nobody", "--out", tmp_path / "x.csv", code=1).error
    assert [path for path in tmp_path.iterdir() if "x.csv" in path.name] == []


def test_events_are_erased_after_a_yes_and_their_sums_stay(used: Any) -> None:
    before = used("usage", "show", "--since", "60d", "--by", "tenant", "--json").json
    for answered in ("n\n", ""):  # no, and nobody there
        refused = used("usage", "erase", "acme", code=1, given=answered)
        assert refused.error.endswith("gatehouse: nothing was taken away: answer y, or give --yes where nobody can answer\n")
    assert len(used("usage", "export", "--since", "60d").out.splitlines()) == 5
    assert "2 events of acme before" in used("usage", "erase", "acme", given="y\n").out
    assert len(used("usage", "export", "--since", "60d").out.splitlines()) == 3
    assert "of 1 day the events are gone" in used("usage", "export", "--since", "60d").error
    assert used("usage", "show", "--since", "60d", "--by", "tenant", "--json").json == before
    assert used("usage", "verify").lines == [
        "2 events of 2 tenant-days equal their sums by hour and by day",
        "1 tenant-day whose events are gone equal their seals",
    ]
    assert used("usage", "erase", "acme", "--yes", "--json").json == {
        "tenant": "acme",
        "before": datetime.now(UTC).date().replace(day=1).isoformat(),
        "events": 0,
    }


def test_what_shadows_of_the_calls_came_to_goes_with_the_events(used: Any, database: Database) -> None:
    ids = {each["name"]: each["id"] for each in used("tenants", "list", "--json").json}
    days = {moment: int(moment.timestamp()) // 86_400 for moment in (OLD, datetime.now(UTC))}
    keys = [ShadowDay(ids[name], "iris", "v1", "2.0.0", day) for name in ("acme", "demo") for day in days.values()]
    with database.write() as session:
        add_shadows(session, {key: ShadowSums(calls=1) for key in keys})
    used("usage", "erase", "acme", "--yes")
    with database.read() as session:
        left = {each.tenant_id: each.calls for each in shadow_figures(session, "iris", "v1", OLD.date())}
    assert left == {ids["acme"]: 1, ids["demo"]: 2}


def test_what_cannot_be_erased_says_why(used: Callable[..., Any]) -> None:
    assert "stay until the month is over" in used("usage", "erase", "acme", "--yes", "--before", "2999-01-01", code=1).error
    assert "no tenant 'acmee'" in used("usage", "erase", "acmee", "--yes", code=1).error
    assert "write a moment as" in used("usage", "erase", "acme", "--yes", "--before", "ever", code=2).error
