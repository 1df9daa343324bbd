"""`/admin/usage/events`, `verify` and `erase`, once on SQLite and once on PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from admin_calls import Admin
from past_calls import call, insert_calls
from sqlmodel import update
from stage import Stage

from gatehouse.db.tables import UsageDayTable
from gatehouse.identity.store import find_tenant
from gatehouse.principal import Scope

NOW = datetime.now(UTC)
LONG_AGO = timedelta(days=40)
MONTH = NOW.date().replace(day=1)
SPAN = f"since={(NOW - timedelta(days=60)).date()}"


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory, published: Path, module_database_url: str) -> Iterator[Admin]:
    """acme and other have called three times each, long ago and now."""
    stage = Stage(tmp_path_factory.mktemp("events"), published, module_database_url, ("iris v1",))
    for name in ("acme", "other"):
        stage.tenant(name, "iris")
        with stage.database.read() as session:
            tenant = find_tenant(session, name)
        assert tenant is not None
        insert_calls(stage.database, *(call(NOW, tenant.id, ago, request_id=f"{name}-{place}") for place, ago in enumerate(_agos())))
    with stage.serving(load_models="lazy") as live:
        yield Admin(live, stage.key("_operator", scopes=frozenset(Scope)))
    stage.close()


def _agos() -> list[timedelta]:
    """Two of them on one day."""
    return [NOW - (NOW - LONG_AGO).replace(hour=hour) for hour in (10, 11)] + [timedelta(0)]


def test_events_are_listed_once_each_in_order(admin: Admin) -> None:
    whole = admin.all(f"/usage/events?{SPAN}", limit=200)
    assert sorted(event["request_id"] for event in whole) == sorted(f"{name}-{place}" for name in ("acme", "other") for place in range(3))
    assert admin.all(f"/usage/events?{SPAN}", limit=1) == whole
    acme = admin.all(f"/usage/events?{SPAN}&tenant=acme", limit=2)
    assert [event["request_id"] for event in acme] == ["acme-0", "acme-1", "acme-2"]
    assert (acme[0]["tenant"], acme[0]["model"], acme[0]["rows"], acme[0]["status"]) == ("acme", "iris", 2, 200)
    assert len(admin.all("/usage/events?tenant=acme")) == 1


def verified(admin: Admin, query: str) -> list[Any]:
    """All pages."""
    pages: list[Any] = []
    cursor = ""
    while True:
        pages.append(admin.get(f"/usage/verify?{query}&limit=1{cursor}"))
        if pages[-1]["next"] is None:
            return pages
        cursor = f"&cursor={pages[-1]['next']}"


def test_sums_equal_their_events_until_somebody_changes_one(admin: Admin) -> None:
    pages = verified(admin, SPAN)
    assert all(page["equal"] for page in pages)
    assert sum(page["events"] for page in pages) == 6
    database = admin.live.stage.database
    change = {False: 1, True: -1}
    for back in (False, True):
        with database.write() as session:
            session.execute(update(UsageDayTable).values(calls=UsageDayTable.calls + change[back]))
        assert [page["equal"] for page in verified(admin, f"{SPAN}&tenant=acme")] == [back] * 2
        if not back:
            (first, *_) = admin.get(f"/usage/verify?{SPAN}&tenant=acme")["differences"]
            assert (first["of"], first["found"]["calls"] - first["expected"]["calls"]) == ("day", 1)


def test_events_before_a_month_are_erased_and_their_sums_stay(admin: Admin) -> None:
    before = admin.get(f"/usage?{SPAN}&tenant=other&by=tenant")["total"]
    wish = {"tenant": "other", "before": str(MONTH)}
    answer = admin.send("POST", "/usage/erase", wish)
    assert answer.json() == {"tenant": "other", "before": str(MONTH), "events": 2, "left": 0}
    assert [event["request_id"] for event in admin.all(f"/usage/events?{SPAN}&tenant=other")] == ["other-2"]
    assert admin.get(f"/usage?{SPAN}&tenant=other&by=tenant")["total"] == before
    assert sum(page["sealed_days"] for page in verified(admin, f"{SPAN}&tenant=other")) == 1
    assert admin.send("POST", "/usage/erase", wish).json()["events"] == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tenant": "acme", "before": str(NOW.date() + timedelta(days=40))}, "/before"),
        ({"tenant": "acme", "before": "yesterday"}, "/before"),
        ({"tenant": "nobody", "before": str(MONTH)}, "/tenant"),
        ({"tenant": "a\x00", "before": str(MONTH)}, "/tenant"),
        ({"tenant": "acme"}, "/before"),
        ({"tenant": "acme", "before": str(MONTH), "tenant_id": "x"}, "/tenant_id"),
    ],
)
def test_an_erasure_that_cannot_be_is_refused_by_its_member(admin: Admin, body: Any, pointer: str) -> None:
    answer = admin.refused("POST", "/usage/erase", 422, "invalid_input", body)
    assert [error["pointer"] for error in answer["errors"]] == [pointer]


@pytest.mark.parametrize("query", ["since=9999-01-01", "tenant=nobody", "limit=0", "cursor=AAAA", "by=day", "since=0001-01-01"])
def test_a_question_that_cannot_be_answered_is_refused(admin: Admin, query: str) -> None:
    for path in ("events", "verify"):
        admin.refused("GET", f"/usage/{path}?{query}", 422, "invalid_input")
