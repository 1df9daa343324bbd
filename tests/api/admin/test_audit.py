"""`/admin/audit`: what the commands of the same name do, over HTTP, and nothing that could change a row."""

import secrets
from typing import Any

import pytest
from admin_calls import Admin
from sqlalchemy import text
from stage import Live

from gatehouse.api.admin import audit
from gatehouse.db.audit_chain import read_head
from gatehouse.principal import Scope


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    return Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))


def rows(admin: Admin, query: str) -> list[dict[str, Any]]:
    return admin.all(f"/audit?{query}")


def test_row_49_a_change_says_who_what_when_from_where_before_and_after(admin: Admin) -> None:
    name = f"audited-{secrets.token_hex(4)}"
    request_id = f"request-{secrets.token_hex(4)}"
    admin.created("/tenants", {"name": name})
    admin.send("PATCH", f"/tenants/{name}", {"plan": "standard"}, if_match="*", x_request_id=request_id)
    [edit, made] = rows(admin, f"subject={name}&action=tenant")
    assert (made["action"], edit["action"]) == ("tenant.create", "tenant.edit")
    assert (edit["actor"], edit["source"], edit["request_id"]) == (f"key:{admin.key.split('_')[1]}", "127.0.0.1", request_id)
    assert (edit["detail"]["before"]["plan"], edit["detail"]["after"]["plan"]) == ("trial", "standard")
    assert edit["sequence"] > made["sequence"]
    assert admin.get(f"/audit/{edit['id']}") == edit
    assert rows(admin, f"request_id={request_id}") == [edit]
    assert rows(admin, f"subject={name}&since={edit['at']}") == [edit]
    assert rows(admin, f"subject={name}&until={edit['at']}") == [made]


def test_pages_go_on_behind_the_last_row_while_new_ones_come(admin: Admin) -> None:
    name = f"paged-{secrets.token_hex(4)}"
    admin.created("/tenants", {"name": name})
    for plan in ("standard", "trial", "standard"):
        admin.edited(f"/tenants/{name}", {"plan": plan})
    first = admin.get(f"/audit?subject={name}&limit=2")
    admin.edited(f"/tenants/{name}", {"plan": "trial"})
    second = admin.get(f"/audit?subject={name}&limit=2&cursor={first['next']}")
    ids = [row["id"] for row in first["items"] + second["items"]]
    assert ids == sorted(set(ids), reverse=True)
    assert second["items"][-1]["action"] == "tenant.create"
    assert second["next"] is None
    assert admin.refused("GET", f"/audit?cursor={first['next']}", 422, "invalid_input")  # of other filters


FAR = ("since=0001-01-01T00:00:00%2B14:00", "until=9999-12-31T23:59:59-14:00")
"""Moments of one time zone that have none in UTC."""


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=abc",
        "actor=%00",
        "subject=" + "x" * 256,
        "action=KEY%25",
        "since=yesterday",
        "odd=1",
        *FAR,
    ],
)
def test_what_is_no_filter_is_422(admin: Admin, query: str) -> None:
    admin.refused("GET", f"/audit?{query}", 422, "invalid_input")


@pytest.mark.parametrize("id", ["999999999", "0", "-1", "x", "9" * 30])
def test_an_id_of_no_row_is_404(admin: Admin, id: str) -> None:
    admin.refused("GET", f"/audit/{id}", 404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_row_49_no_method_changes_a_row(admin: Admin, method: str) -> None:
    before = admin.get("/audit/1")
    for path in ("/audit", "/audit/1"):
        assert admin.send(method, path, {"actor": "x"}, if_match="*").status_code == 405
    assert admin.get("/audit/1") == before


def test_row_99_the_trail_is_proven_and_a_changed_row_named(live: Live, admin: Admin) -> None:
    database = live.stage.database
    with database.read() as session:
        head = str(read_head(session))
    found = admin.get(f"/audit/verification?head={head}")
    assert (found["intact"], found["findings"]) == (True, [])
    assert found["rows"] >= 1
    with database.write() as session:
        actor = session.execute(text("SELECT actor FROM audit WHERE sequence = 2")).scalar_one()
        triggers = session.execute(text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")).scalars().all()
        session.execute(text("DROP TRIGGER audit_no_update"))
        session.execute(text("UPDATE audit SET actor = 'os-user:mallory' WHERE sequence = 2"))
    try:
        found = admin.get("/audit/verification")
        assert (found["intact"], found["findings"][0]["kind"], found["findings"][0]["sequence"]) == (False, "changed", 2)
    finally:
        with database.write() as session:
            session.execute(text("UPDATE audit SET actor = :actor WHERE sequence = 2"), {"actor": actor})
            session.execute(text(next(sql for sql in triggers if "audit_no_update" in sql.lower())))
    gone = f"999999:{'0' * 64}"
    assert admin.get(f"/audit/verification?head={gone}")["findings"][0]["kind"] == "removed"
    for wrong in ("1", "0:" + "0" * 64, "x:" + "0" * 64):
        admin.refused("GET", f"/audit/verification?head={wrong}", 422, "invalid_input")


def test_row_62_a_trail_too_long_for_one_call_is_503_and_names_the_command(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as short:
        short.setattr(audit, "LONGEST_S", 0.0)
        answer = admin.send("GET", "/audit/verification")
    told = answer.json()
    assert (answer.status_code, told["code"], answer.headers["retry-after"]) == (503, "service_unavailable", "10")
    assert told["detail"].endswith("gatehouse audit verify")
    assert admin.get("/audit/verification")["intact"], "the next one is not kept waiting by the one that ended"


@pytest.mark.parametrize("statement", ["DELETE FROM audit_head", "UPDATE audit_head SET sequence = sequence - 1"])
def test_row_99_behind_a_changed_head_a_change_is_refused_and_says_nothing_of_the_inside(admin: Admin, statement: str) -> None:
    database, name = admin.live.stage.database, f"late-{secrets.token_hex(4)}"
    admin.created("/tenants", {"name": f"early-{name}"})
    with database.read() as session:
        head = read_head(session)
    with database.write() as session:
        session.execute(text(statement))
    try:
        answer = admin.send("POST", "/tenants", {"name": name})
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert "audit" not in answer.text
        assert "retry-after" not in answer.headers  # time does not mend it
    finally:
        with database.write() as session:
            session.execute(text("DELETE FROM audit_head"))
            session.execute(text(f"INSERT INTO audit_head (id, sequence, mac) VALUES (1, {head.sequence}, '{head.mac}')"))
    admin.created("/tenants", {"name": name})


def test_a_row_without_a_moment_is_shown_all_the_same(admin: Admin) -> None:
    name = f"timeless-{secrets.token_hex(4)}"
    admin.created("/tenants", {"name": name})
    [row] = rows(admin, f"subject={name}&action=tenant")
    database = admin.live.stage.database
    with database.write() as session:
        for statement in ("DROP TRIGGER IF EXISTS audit_no_update", f"UPDATE audit SET at = 'garbage' WHERE id = {row['id']}"):
            session.execute(text(statement))
    try:
        assert rows(admin, f"subject={name}&action=tenant") == [row | {"at": None}]
        assert admin.get(f"/audit/{row['id']}") == row | {"at": None}
    finally:
        with database.write() as session:
            session.execute(text(f"UPDATE audit SET at = '2026-01-01 00:00:00.000000' WHERE id = {row['id']}"))
