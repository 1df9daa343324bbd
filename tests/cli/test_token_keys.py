"""`gatehouse token-keys`: a token key's whole life from the command line."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlmodel import col, select

from gatehouse.db.session import open_database
from gatehouse.db.tables import AuditTable
from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import load_token_keys, read_token_keys
from gatehouse.identity.token_store import TokenKey

NEW_SECRET = "Hm4vTz9cRk2bXw7nQe5yLs8dJg3pUa6F"


def secret() -> str:
    return os.environ["GATEHOUSE_SECRET_KEY"]


def started(state_dir: Path) -> list[TokenKey]:
    """What a server does at its start."""
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    keys = load_token_keys(database, Seal(secret().encode()))
    database.close()
    return keys


def stored(state_dir: Path) -> list[TokenKey]:
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}")
    keys = read_token_keys(database)
    database.close()
    return keys


def test_row_38_a_key_is_listed_rotated_retired_and_audited(gatehouse: Any, state_dir: Path) -> None:
    assert gatehouse("token-keys", "list").lines == ["there is no token key yet: the first server that starts makes one"]
    assert gatehouse("token-keys", "list", "--json").json == []
    (first,) = started(state_dir)
    assert [entry["state"] for entry in gatehouse("token-keys", "list", "--json").json] == ["signs"]
    new = gatehouse("token-keys", "rotate", "--json").json
    signs_from = datetime.fromisoformat(new["signs_from"])
    assert timedelta(seconds=5) < signs_from - datetime.now(UTC) <= timedelta(seconds=10)
    listed = gatehouse("token-keys", "list", "--json").json
    assert [(entry["id"], entry["state"]) for entry in listed] == [(first.kid, "signs"), (new["id"], "next")]
    ends_at = datetime.fromisoformat(listed[0]["verifies_until"])
    assert timedelta(seconds=959) < ends_at - signs_from < timedelta(seconds=961)
    assert listed[1]["verifies_until"] is None
    shown = gatehouse("token-keys", "list").lines
    assert shown[0].split()[:2] == ["id", "state"]
    assert [line.split()[:2] for line in shown[2:]] == [[first.kid, "signs"], [new["id"], "next"]]
    assert shown[3].endswith("until the next rotation")
    assert "signs from" in gatehouse("token-keys", "rotate", code=1).error
    assert "signs: gatehouse token-keys rotate" in gatehouse("token-keys", "retire", first.kid, code=1).error
    assert gatehouse("token-keys", "retire", new["id"]).lines[0].startswith(f"token key {new['id']} is retired: its tokens stop")
    assert "is retired already" in gatehouse("token-keys", "retire", new["id"], code=1).error
    assert "no token key 'nothing'; known token keys: " in gatehouse("token-keys", "retire", "nothing", code=1).error
    said = gatehouse("token-keys", "rotate").lines
    assert "is published and signs from" in said[0]
    assert said[1].startswith(f"token key {first.kid} verifies until")
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}")
    with database.read() as session:
        rows = session.exec(select(AuditTable).order_by(col(AuditTable.id))).all()
    database.close()
    assert [(row.action, row.subject) for row in rows][:3] == [
        ("token_key.create", first.kid),
        ("token_key.rotate", new["id"]),
        ("token_key.retire", new["id"]),
    ]


def test_the_first_rotation_of_a_new_deployment_makes_a_key_that_signs_at_once(gatehouse: Any) -> None:
    made = gatehouse("token-keys", "rotate", "--json").json
    (listed,) = gatehouse("token-keys", "list", "--json").json
    assert (listed["id"], listed["state"]) == (made["id"], "signs")


def test_rotate_can_wait_for_servers_of_which_there_are_none(gatehouse: Any) -> None:
    assert "no server is running" in gatehouse("token-keys", "rotate", "--wait").out
    made = gatehouse("token-keys", "list", "--json").json[0]
    assert made["state"] == "signs"


def test_row_106_keys_are_sealed_anew_under_a_new_secret(gatehouse: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (key,) = started(state_dir)
    before = secret()
    assert "nothing was changed" in gatehouse("token-keys", "reseal").out
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", NEW_SECRET)
    refused = gatehouse("token-keys", "reseal", code=1).error
    assert "sealed under another GATEHOUSE_SECRET_KEY" in refused
    assert "GATEHOUSE_SECRET_KEY_BEFORE" in refused
    assert stored(state_dir) == [key]
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY_BEFORE", before)
    said = gatehouse("token-keys", "reseal").lines
    assert said[0] == f"encrypted under the new GATEHOUSE_SECRET_KEY: {key.kid}"
    assert "remove GATEHOUSE_SECRET_KEY_BEFORE" in said[1]
    assert gatehouse("token-keys", "reseal", "--json").json == {"resealed": []}
    (after,) = stored(state_dir)
    assert Seal(NEW_SECRET.encode()).open(after.kid, after.private_sealed) == Seal(before.encode()).open(key.kid, key.private_sealed)


def test_row_106_a_lost_secret_is_left_behind_by_a_rotation(gatehouse: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lost,) = started(state_dir)
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", NEW_SECRET)
    gatehouse("token-keys", "rotate")
    states = {entry["id"]: entry["state"] for entry in gatehouse("token-keys", "list", "--json").json}
    assert states.pop(lost.kid) == "verifies"
    assert [*states.values()] == ["signs"]
    assert "sealed under another" in gatehouse("token-keys", "reseal", code=1).error
    gatehouse("token-keys", "retire", lost.kid)
    assert "nothing was changed" in gatehouse("token-keys", "reseal").out


def test_the_same_secret_twice_is_refused(gatehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY_BEFORE", secret())
    assert "GATEHOUSE_SECRET_KEY_BEFORE must be the secret before" in gatehouse("token-keys", "reseal", code=1).error


def test_no_answer_holds_a_private_half_or_a_secret(gatehouse: Any, state_dir: Path) -> None:
    (key,) = started(state_dir)
    out = "".join(
        gatehouse("token-keys", *arguments).out for arguments in (("list",), ("list", "--json"), ("rotate", "--json"), ("reseal",))
    )
    assert "PRIVATE" not in out
    assert secret() not in out
    assert key.private_sealed.hex() not in out
