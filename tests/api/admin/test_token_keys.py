"""`/admin/token-keys`: what `gatehouse token-keys` does, over HTTP."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admin_calls import Admin
from sqlmodel import col, select
from stage import ACTOR, Live, Stage, key_id

from gatehouse.db.audit import record_audit
from gatehouse.db.tables import AuditTable
from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import read_token_keys, retire_key_now
from gatehouse.identity.token_store import seal_token_key
from gatehouse.principal import Scope

pytestmark = pytest.mark.endpoints("iris v1")
KEYS = "/token-keys"
SCOPES = frozenset({Scope.ADMIN_READ, Scope.ADMIN_WRITE})


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    return Admin(live, live.stage.key("_operator", scopes=SCOPES))


def rotated(admin: Admin) -> Any:
    """What is published, which signs after the test."""
    answer = admin.send("POST", f"{KEYS}/rotate")
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/admin{KEYS}/{answer.json()['id']}"
    return answer.json()


def called_off(stage: Stage, kid: str) -> None:
    """So that the next test can rotate at once."""
    retire_key_now(stage.database, ACTOR, kid, datetime.now(UTC))


def test_row_38_a_key_is_rotated_shown_retired_and_audited(admin: Admin) -> None:
    (signing,) = [key for key in admin.all(KEYS) if key["state"] == "signs"]
    made = rotated(admin)
    assert made["state"] == "next"
    assert datetime.fromisoformat(made["signs_from"]) - datetime.fromisoformat(made["created_at"]) == timedelta(seconds=10)
    assert admin.get(f"{KEYS}/{made['id']}") == made
    assert admin.all(KEYS, limit=1) == admin.all(KEYS) == [admin.get(f"{KEYS}/{signing['id']}"), made]
    assert signing["verifies_until"] is None
    assert admin.get(f"{KEYS}/{signing['id']}")["verifies_until"] is not None, "until its last token has ended"

    assert "has been published and signs from" in admin.refused("POST", f"{KEYS}/rotate", 409, "conflict")["detail"]
    retired = admin.changed("POST", f"{KEYS}/{made['id']}/retire", of=f"{KEYS}/{made['id']}")
    assert (retired["id"], retired["state"]) == (made["id"], "retired")
    assert admin.get(f"{KEYS}/{signing['id']}")["verifies_until"] is None, "it goes on"

    with admin.live.stage.database.read() as session:
        query = select(AuditTable).where(AuditTable.subject == made["id"]).order_by(col(AuditTable.id))
        rows = [(row.action, row.actor, row.request_id is not None) for row in session.exec(query)]
    actor = f"key:{key_id(admin.key)}"
    assert rows == [("token_key.rotate", actor, True), ("token_key.retire", actor, True)]


def test_a_key_is_retired_by_who_has_seen_it_as_it_is(admin: Admin) -> None:
    (signing,) = [key["id"] for key in admin.all(KEYS) if key["state"] == "signs"]
    seen = admin.tag(f"{KEYS}/{signing}")
    made = rotated(admin)["id"]
    for path, given, status, code in (
        (f"{KEYS}/{made}/retire", {"origin": ""}, 428, "precondition_required"),
        (f"{KEYS}/{made}/retire", {"if_match": seen}, 412, "precondition_failed"),
        (f"{KEYS}/{signing}/retire", {"if_match": seen}, 412, "precondition_failed"),
        (f"{KEYS}/{secrets.token_hex(8)}/retire", {"if_match": "*"}, 404, "not_found"),
        (f"{KEYS}/none/retire", {"if_match": "*"}, 404, "not_found"),
    ):
        admin.refused("POST", path, status, code, **given)
    detail = admin.refused("POST", f"{KEYS}/{signing}/retire", 409, "conflict", if_match="*")["detail"]
    assert detail == f"Token key {signing} signs: rotate first, and retire it when the new one has taken over."
    called_off(admin.live.stage, made)
    admin.refused("POST", f"{KEYS}/{made}/retire", 409, "conflict", if_match="*")


def test_row_106_keys_are_sealed_anew_by_a_server_that_has_the_new_secret(stage: Stage) -> None:
    operator, old = stage.key("_operator", scopes=SCOPES), stage.values["GATEHOUSE_SECRET_KEY"]
    new = secrets.token_urlsafe(32)
    with stage.serving(load_models="lazy") as live:
        admin = Admin(live, operator)
        assert admin.send("POST", f"{KEYS}/reseal").json() == {"resealed": []}
        with stage.database.write() as session:
            record_audit(session, ACTOR, "secret.create", "GATEHOUSE_SECRET_KEY")
        for path in (f"{KEYS}/reseal", f"{KEYS}/rotate"):
            assert "1 server must be restarted first" in admin.refused("POST", path, 409, "conflict")["detail"]
    with stage.serving(load_models="lazy", secret_key=new, secret_key_before=old) as live:
        admin = Admin(live, operator)
        (key,) = read_token_keys(stage.database)
        assert admin.send("POST", f"{KEYS}/reseal").json() == {"resealed": [key.kid]}
        (after,) = read_token_keys(stage.database)
        assert Seal(new.encode()).open(after.kid, after.private_sealed) == Seal(old.encode()).open(key.kid, key.private_sealed)
        assert admin.send("POST", f"{KEYS}/reseal").json() == {"resealed": []}


def test_what_another_secret_sealed_is_left_as_it_is(stage: Stage) -> None:
    operator = stage.key("_operator", scopes=SCOPES)
    with stage.serving(load_models="lazy") as live:
        (key,) = read_token_keys(stage.database)
        foreign = Seal(secrets.token_bytes(32))
        with stage.database.write() as session:
            seal_token_key(session, key.kid, foreign.close(key.kid, "-"))
        detail = Admin(live, operator).refused("POST", f"{KEYS}/reseal", 409, "conflict")["detail"]
    assert detail.startswith("What this database holds is sealed under another GATEHOUSE_SECRET_KEY")
    assert "gatehouse " not in detail
