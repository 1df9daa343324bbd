"""`/admin/notices` and `/admin/notice-targets`, once on SQLite and once on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admin_calls import Admin
from secrecy import remember
from sqlmodel import select, update
from stage import Stage, problem

from gatehouse.db.outbox import announce
from gatehouse.db.tables import AuditTable, NoticeTable
from gatehouse.identity.store import find_tenant
from gatehouse.principal import Scope

URL = "https://127.0.0.1:9/gatehouse"
"""Of this machine, where nobody listens: what is sent again is tried at once."""
TARGETS = "/notice-targets"


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory, published: Path, module_database_url: str) -> Iterator[Admin]:
    stage = Stage(tmp_path_factory.mktemp("notices"), published, module_database_url, ("iris v1",))
    stage.tenant("wish", "iris")
    with stage.serving(load_models="lazy", notices_networks="127.0.0.0/8") as live:
        yield Admin(live, stage.key("_operator", scopes=frozenset(Scope)))
    stage.close()


def tell(admin: Admin, tenant: str, *events: str) -> None:
    """Notices that nobody sends."""
    with admin.live.stage.database.write() as session:
        known = find_tenant(session, tenant)
        assert known is not None
        for event in events:
            announce(session, known.id, "quota.reached", event, "80", {"tenant": tenant})
        session.execute(update(NoticeTable).values(due_at=None))


def target(admin: Admin, tenant: str) -> dict[str, Any]:
    admin.live.stage.tenant(tenant, "iris")
    made: dict[str, Any] = admin.created(TARGETS, {"tenant": tenant, "url": URL})
    remember(made["secret"])
    return made


def test_a_target_is_made_shown_changed_rotated_and_removed(admin: Admin) -> None:
    made = target(admin, "acme")
    assert made.pop("secret").startswith("whsec_")
    path = f"{TARGETS}/{made['tenant_id']}"
    assert admin.get(path) == made | {"state": "works", "waiting": 0}
    assert made in admin.all(TARGETS, limit=1)
    moved = admin.edited(f"{TARGETS}/acme", {"url": f"{URL}/v2"})
    assert (moved["url"], "secret" in moved) == (f"{URL}/v2", False)
    stale = admin.tag(path)
    rotated = admin.changed("POST", f"{path}/rotate", {"grace_s": 60}, of=path)
    assert remember(rotated["secret"]) != made
    assert rotated["previous_until"] is not None
    problem(admin.send("POST", f"{path}/rotate", if_match=stale), 412, "precondition_failed")
    problem(admin.send("DELETE", path), 428, "precondition_required")
    admin.changed("DELETE", path)
    admin.refused("GET", path, 404, "not_found")
    with admin.live.stage.database.read() as session:
        rows = [row for row in session.exec(select(AuditTable)) if row.action.startswith("notice_target.") and row.subject == "acme"]
    assert [row.action.partition(".")[2] for row in rows] == ["create", "edit", "rotate", "remove"]
    assert not any("whsec_" in row.detail for row in rows)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tenant": "wish", "url": "ftp://hooks.invalid/"}, "/url"),
        ({"tenant": "wish", "url": "https://10.0.0.1/"}, "/url"),
        ({"tenant": "wish", "url": "https://user:word@hooks.invalid/"}, "/url"),
        ({"tenant": "wish", "url": "https://hooks.invalid/\x00"}, "/url"),
        ({"tenant": "nobody", "url": URL}, "/tenant"),
        ({"tenant": "wish", "url": URL, "secret": "mine"}, "/secret"),
    ],
)
def test_a_target_that_cannot_be_is_refused_by_its_member(admin: Admin, body: Any, pointer: str) -> None:
    answer = admin.refused("POST", TARGETS, 422, "invalid_input", body)
    assert [error["pointer"] for error in answer["errors"]] == [pointer]
    assert "10.0.0.1" not in str(answer)


def test_one_target_a_tenant(admin: Admin) -> None:
    target(admin, "single")
    again = admin.refused("POST", TARGETS, 409, "conflict", {"tenant": "single", "url": URL})
    assert again["detail"] == "Single has a target already."
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        admin.refused(method, f"{TARGETS}/nobody{path}", 404, "not_found", {"url": URL} if method == "PATCH" else None, if_match="*")


def test_notices_are_listed_newest_first_and_shown_with_their_body(admin: Admin) -> None:
    target(admin, "told")
    tell(admin, "told", "one", "two", "three")
    tell(admin, "wish", "other")
    found = admin.all("/notices?tenant=told", limit=200)
    assert sorted(each["event"] for each in found) == ["one", "three", "two"]
    assert admin.all("/notices?tenant=told", limit=1) == found
    tenants = [each["tenant"] for each in admin.all("/notices", limit=2)]
    assert (tenants.count("told"), tenants.count("wish")) == (3, 1)
    shown = admin.get(f"/notices/{found[0]['id']}")
    assert shown["body"]["data"] == {"tenant": "told"}
    admin.refused("GET", f"/notices/ntc_{'0' * 24}", 404, "not_found")
    admin.refused("GET", "/notices?tenant=nobody", 422, "invalid_input")


def test_a_notice_is_sent_again_where_there_is_a_target(admin: Admin) -> None:
    target(admin, "again")
    tell(admin, "again", "one")
    (notice,) = admin.all("/notices?tenant=again")
    answer = admin.send("POST", f"/notices/{notice['id']}/replay")
    assert (answer.status_code, answer.json()["due_at"] is not None) == (200, True)
    admin.changed("DELETE", f"{TARGETS}/again")
    refused = admin.refused("POST", f"/notices/{notice['id']}/replay", 409, "conflict")
    assert refused["detail"] == "Again has no target."
    admin.refused("POST", f"/notices/ntc_{'0' * 24}/replay", 404, "not_found")
