"""Changes over HTTP as they stand on SQLite and on PostgreSQL: who asks is proven anew, and one of two at once wins."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from admin_calls import Admin
from sqlalchemy import text
from stage import Live, Stage, key_id, problem

from gatehouse.principal import TENANT_SCOPES, Scope

pytestmark = pytest.mark.endpoints("line v1")
BOTH = frozenset({Scope.ADMIN_READ, Scope.ADMIN_WRITE})


@pytest.fixture
def live(stage_on_each_database: Stage) -> Iterator[Live]:
    with stage_on_each_database.serving() as running:
        yield running


def test_changes_are_guarded(live: Live) -> None:
    admin, other = (Admin(live, live.stage.key("_operator", scopes=BOTH)) for _ in range(2))
    check_two_at_once(admin, other)
    check_whoever_lost_its_rights(live, admin)
    check_the_trail(live, admin)
    check_files_at_once(admin, other)


def check_two_at_once(admin: Admin, other: Admin) -> None:
    made = admin.created("/keys", {"tenant": admin.created("/tenants", {"name": "acme"})["id"]})
    for _ in range(3):
        path = f"/keys/{made['id']}"
        tag, start = admin.tag(path), Barrier(2)

        def change(who: Admin, name: str, tag: str = tag, start: Barrier = start, path: str = path) -> int:
            start.wait(10)
            return who.send("PATCH", path, {"name": name}, if_match=tag).status_code

        names = (f"one{tag[1:5]}", f"two{tag[1:5]}")
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(change, (admin, other), names))
        assert sorted(outcomes) == [200, 412]
        assert admin.get(path)["name"] == names[outcomes.index(200)]


def check_whoever_lost_its_rights(live: Live, admin: Admin) -> None:
    """The server still remembers the caller as it was: its memory is up to date a moment later."""
    for lost in ({"scopes": frozenset({Scope.ADMIN_READ})}, None):
        for method, path, body in (
            ("POST", "/tenants", {"name": "never"}),
            ("PATCH", "/tenants/acme", {"plan": "standard"}),
            ("POST", "/plans", {"name": "never"}),
            ("POST", "/keys", {"tenant": "acme", "name": "never"}),
            ("POST", "/grants", {"tenant": "acme", "model": "line"}),
            ("POST", "/tenants/import", b"name\nnever\n"),
            ("POST", "/keys/import", b"tenant,name\nacme,never\n"),
        ):
            doomed = Admin(live, live.stage.key("_operator", scopes=BOTH))
            doomed.get("/plans/trial")
            if lost is None:
                live.stage.revoke(doomed.key)
            else:
                live.stage.edit(doomed.key, **lost)
            answer = doomed.send(method, path, body, if_match="*")
            problem(answer, *((401, "credential_invalid") if lost is None else (403, "scope_missing")))
    assert "never" not in json.dumps([admin.all(path) for path in ("/tenants", "/plans", "/keys")])
    assert admin.get("/tenants/acme")["plan"] == "trial"


def check_the_trail(live: Live, admin: Admin) -> None:
    made = admin.send("POST", "/keys", {"tenant": "acme", "name": "traced", "scopes": sorted(TENANT_SCOPES)})
    with live.stage.database.read() as session:
        row = session.execute(text("SELECT * FROM audit WHERE subject = :id"), {"id": made.json()["id"]}).mappings().one()
    assert (row["action"], row["actor"], row["source"]) == ("key.create", f"key:{key_id(admin.key)}", "127.0.0.1")
    assert row["request_id"] == made.headers["x-request-id"]
    assert made.json()["key"].rpartition("_")[2] not in row["detail"]


def check_files_at_once(admin: Admin, other: Admin) -> None:
    """Of two files that share a name one is made, the other is told its line, and nothing of it is there."""
    start = Barrier(2)

    def send(who: Admin, own: str) -> tuple[int, str]:
        start.wait(10)
        answer = who.send("POST", "/tenants/import", f"name\n{own}-1\n{own}-2\nshared\n".encode())
        return answer.status_code, str(answer.json())

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(send, (admin, other), ("mine", "yours")))
    assert sorted(status for status, _ in outcomes) == [201, 422]
    refused = next(said for status, said in outcomes if status == 422)
    assert "there is a tenant of this name already" in refused
    won = ("mine", "yours")[[status for status, _ in outcomes].index(201)]
    names = [tenant["name"] for tenant in admin.all("/tenants")]
    assert [name for name in names if name.startswith(("mine", "yours", "shared"))] == sorted([f"{won}-1", f"{won}-2", "shared"])
