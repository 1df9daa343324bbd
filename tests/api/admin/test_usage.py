"""`/admin/usage` and `/admin/status`: what was called, by whom, and how the deployment is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admin_calls import Admin
from past_calls import call, insert_calls
from stage import IRIS_ROW, Live, Stage, instances, key_id, wait_until

from gatehouse.identity.store import find_tenant
from gatehouse.principal import Scope

pytestmark = pytest.mark.endpoints("iris v1")
NOW = datetime.now(UTC)
KEY = "k" * 16


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    """acme has called iris on three days by two keys, other once."""
    stage = live.stage
    own = call_ids(stage, "acme", "other")
    insert_calls(
        stage.database,
        *(call(NOW, own["acme"], timedelta(days=days), key_id=key) for days in (0, 1, 2) for key in (KEY, "x" * 16)),
        call(NOW, own["other"], timedelta(days=1), 404, model=None, api_version=None),
    )
    return Admin(live, stage.key("_operator", scopes=frozenset(Scope)))


def call_ids(stage: Stage, *names: str) -> dict[str, str]:
    """Ids of new tenants by name."""
    for name in names:
        stage.tenant(name, "iris")
    with stage.database.read() as session:
        return {name: tenant.id for name in names if (tenant := find_tenant(session, name))}


def whole(admin: Admin, query: str, limit: int = 2) -> tuple[list[Any], Any]:
    """All lines, page by page, and the answer of the first page."""
    first = admin.get(f"/usage?{query}&limit={limit}")
    return admin.all(f"/usage?{query}", limit), first


def test_lines_of_all_pages_add_up_to_the_total(admin: Admin) -> None:
    lines, first = whole(admin, "by=day,tenant,key,status")
    assert sum(line["calls"] for line in lines) == first["total"]["calls"] == 7
    assert sum(line["rows"] for line in lines) == first["total"]["rows"] == 14
    assert set(lines[0]) == {"day", "tenant", "key", "status", "calls", "rows", "bytes_in", "bytes_out", "mean_ms"}
    assert [line["day"] for line in lines] == sorted(line["day"] for line in lines)
    assert first["refused"] == []


def test_usage_is_narrowed_to_a_tenant_key_model_or_month(admin: Admin) -> None:
    id = admin.get("/tenants/acme")["id"]
    narrowed = {"tenant=acme": 6, f"tenant={id}": 6, "tenant=other": 1, f"key={KEY}": 3, "model=iris": 6, "model=wine": 0}
    for query, calls in narrowed.items():
        assert whole(admin, f"{query}&by=day")[1]["total"]["calls"] == calls, query
    assert whole(admin, f"key={KEY}")[1]["refused"] is None
    month = admin.get(f"/usage?month={NOW:%Y-%m}&by=tenant")
    assert (month["since"], month["until"][:7]) == (f"{NOW:%Y-%m}-01", f"{NOW:%Y-%m}")
    assert admin.get("/usage?month=2026-02")["until"] == "2026-02-28"
    assert admin.get("/usage?month=2026-12")["until"] == "2026-12-31"
    (line,) = admin.get("/usage?by=model&tenant=other")["items"]
    assert (line["model"], line["calls"]) == (None, 1)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("by=", "by"),
        ("by=day,colour", "by"),
        ("by=%00", "by"),
        ("since=2026-02-30", "since"),
        ("since=0001-01-01", "since"),
        ("since=9999-12-31&until=0001-01-01", "since"),
        ("by=hour&since=2020-01-01&until=2020-03-01", "since"),
        ("month=2026-13", "month"),
        ("month=0000-01", "month"),
        ("month=9999-12", "month"),
        ("month=2026-01&since=2026-01-01", "month"),
        ("tenant=nobody", "tenant"),
        ("tenant=%00", "tenant"),
        ("tenant=a%25", "tenant"),
        ("key=1", "key"),
        ("model=%27--", "model"),
        ("limit=201", "limit"),
        ("cursor=AAAA", "cursor"),
        ("colour=red", "colour"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_by_its_parameter(admin: Admin, query: str, parameter: str) -> None:
    answer = admin.refused("GET", f"/usage?{query}", 422, "invalid_input")
    assert [error["parameter"] for error in answer["errors"]] == [parameter]


def test_a_cursor_is_of_its_list_and_question(admin: Admin) -> None:
    cursor = admin.get("/usage?by=day,key&limit=1")["next"]
    assert len(admin.get(f"/usage?by=day,key&limit=1&cursor={cursor}")["items"]) == 1
    for query in ("usage?by=day", "usage?by=day,key&model=iris", "endpoints?limit=1"):
        admin.refused("GET", f"/{query}&cursor={cursor}", 422, "invalid_input")


def test_the_status_names_who_serves_what_and_what_was_answered(admin: Admin) -> None:
    live = admin.live
    key = live.stage.tenant("caller", "iris")
    assert live.predict(key, instances(IRIS_ROW)).status_code == 200
    wait_until(lambda: [each["calls"] for each in admin.get("/status")["calls"]["outcomes"] if each["model"]] == [1])
    status = admin.get("/status")
    (process,), (endpoint,) = status["processes"], status["endpoints"]
    assert (status["healthy"], process["id"], process["state"]) == (True, live.app.process_id, "serving")
    assert (endpoint["endpoint"], endpoint["version"], endpoint["answered"], endpoint["shadow"]) == ("iris/v1", "1.0.0", 1, None)


def test_usage_and_status_are_for_those_who_may_read_as_operators(admin: Admin) -> None:
    live = admin.live
    tenant = Admin(live, live.stage.tenant("outside", "iris"))
    for path in ("/usage", "/status", "/migration/iris/v1/v2", "/endpoints"):
        tenant.refused("GET", path, 403, "scope_missing")
    assert key_id(tenant.key) not in admin.send("GET", "/status").text
