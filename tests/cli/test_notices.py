"""`gatehouse notice-targets` and `gatehouse notices`: a target's whole life, and what was told, from the command line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlmodel import select
from typer.testing import CliRunner

from gatehouse.cli import app
from gatehouse.db.outbox import announce
from gatehouse.db.session import Database, open_database
from gatehouse.db.tables import AuditTable, NoticeTable, NoticeTargetTable, TenantTable

URL = "https://hooks.example.org/gatehouse?token=of-the-partner"


@pytest.fixture
def database(state_dir: Path) -> Any:
    opened = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    yield opened
    opened.close()


def tell(database: Database) -> str:
    """A notice to acme."""
    with database.write() as session:
        tenant_id = session.exec(select(TenantTable.id).where(TenantTable.name == "acme")).one()
        assert announce(session, tenant_id, "quota.reached", "2026-11 of 10", "80", {"percent": 80})
        return session.exec(select(NoticeTable.id)).one()


def set_target(database: Database, **columns: Any) -> None:
    with database.write() as session:
        row = session.exec(select(NoticeTargetTable)).one()
        for name, value in columns.items():
            setattr(row, name, value)


def test_a_target_is_made_listed_edited_rotated_removed_and_audited(gatehouse: Any, database: Database) -> None:
    gatehouse("tenants", "create", "acme")
    assert gatehouse("notice-targets", "list").out.startswith("there are no targets yet: gatehouse notice-targets create")
    said = gatehouse("notice-targets", "create", "acme", "--url", URL).out
    secret = said.partition("SECRET=")[2].split()[0]
    assert secret.startswith("whsec_")
    assert "has a target already" in gatehouse("notice-targets", "create", "acme", "--url", URL, code=1).error
    tell(database)
    (listed,) = gatehouse("notice-targets", "list", "--json").json
    assert (listed["tenant"], listed["url"], listed["state"], listed["waiting"]) == ("acme", URL, "works", 1)
    assert "secret" not in listed
    edited = gatehouse("notice-targets", "edit", "acme", "--url", "https://other.example.org").out
    assert "signed by the secret that it has; 1 notices wait" in edited
    rotated = gatehouse("notice-targets", "rotate", "acme", "--grace", "7d", "--json").json
    assert rotated["secret"] != secret
    assert rotated["previous_until"] is not None
    assert "two until" in gatehouse("notice-targets", "list").out
    assert gatehouse("notice-targets", "rotate", "acme", "--grace", "0", "--json").json["previous_until"] is None
    assert "the grace is 0 to 30 days" in gatehouse("notice-targets", "rotate", "acme", "--grace", "31d", code=1).error
    assert "is told nothing more" in gatehouse("notice-targets", "remove", "acme").out
    for words in (("edit", "acme", "--url", URL), ("rotate", "acme"), ("remove", "acme")):
        assert "acme has no target: gatehouse notice-targets create acme" in gatehouse("notice-targets", *words, code=1).error
    with database.read() as session:
        rows = [row for row in session.exec(select(AuditTable)) if row.action.startswith("notice_target.")]
    assert [row.action.partition(".")[2] for row in rows] == ["create", "edit", "rotate", "rotate", "remove"]
    assert not any("of-the-partner" in row.detail or "whsec_" in row.detail for row in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "nobody", "--url", URL), "no tenant 'nobody'"),
        (("create", "acme", "--url", "http://hooks.example.org"), "GATEHOUSE_NOTICES_NETWORKS"),
        (("create", "acme", "--url", "https://127.0.0.1/"), "no public address"),
        (("create", "acme", "--url", "hooks"), "write the URL as https://"),
    ],
)
def test_row_97_a_target_that_cannot_be_is_refused_in_one_line(gatehouse: Any, words: tuple[str, ...], said: str) -> None:
    gatehouse("tenants", "create", "acme")
    answer = gatehouse("notice-targets", *words, code=1)
    assert said in answer.error
    assert (answer.out, answer.error.count("\n")) == ("", 1)


def test_networks_that_are_everybodys_are_no_setting(gatehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_NOTICES_NETWORKS", "0.0.0.0/0")
    assert "GATEHOUSE_NOTICES_NETWORKS would let notices into every network" in gatehouse("notices", "list", code=1).error
    monkeypatch.setenv("GATEHOUSE_NOTICES_NETWORKS", "10.1.0.0/16, 127.0.0.1")
    gatehouse("tenants", "create", "acme")
    gatehouse("notice-targets", "create", "acme", "--url", "http://10.1.2.3:8080/hook")


def test_notices_are_listed_shown_and_replayed(gatehouse: Any, database: Database) -> None:
    gatehouse("tenants", "create", "acme")
    assert gatehouse("notices", "list").out.startswith("there are no notices yet")
    notice_id = tell(database)
    (listed,) = gatehouse("notices", "list", "--tenant", "acme", "--json").json
    assert (listed["id"], listed["kind"], listed["threshold"], listed["state"]) == (notice_id, "quota.reached", "80", "no target")
    assert "acme has no target" in gatehouse("notices", "replay", notice_id, code=1).error
    gatehouse("notice-targets", "create", "acme", "--url", URL)
    assert gatehouse("notices", "show", notice_id, "--json").json["body"]["data"] == {"percent": 80}
    assert f"notice {notice_id} to acme: quota.reached, 2026-11 of 10, threshold 80" in gatehouse("notices", "show", notice_id).out
    assert notice_id in gatehouse("notices", "list").out
    assert "is sent to acme again" in gatehouse("notices", "replay", notice_id).out
    set_target(database, gone=True)
    assert "has said that it is gone: gatehouse notice-targets edit acme" in gatehouse("notices", "replay", notice_id, code=1).error
    for verb in ("show", "replay"):
        assert "no notice 'ntc_none': gatehouse notices list" in gatehouse("notices", verb, "ntc_none", code=1).error
    assert "no tenant 'nobody'" in gatehouse("notices", "list", "--tenant", "nobody", code=1).error


def notices_part() -> Any:
    """What doctor finds of notices; other parts of this bare deployment may be wrong."""
    result = CliRunner().invoke(app, ["doctor", "--json"])
    return next(each for each in json.loads(result.stdout)["findings"] if each["part"] == "notices")


def test_doctor_tells_of_targets_that_fail_and_of_secrets_that_do_not_open(
    gatehouse: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gatehouse("tenants", "create", "acme")
    gatehouse("notice-targets", "create", "acme", "--url", URL)
    assert notices_part()["detail"] == "1 targets, none is failing"
    with database.read() as session:
        since = session.exec(select(NoticeTargetTable.created_at)).one()
    set_target(database, failing_since=since, failing_reason="410", gone=True)
    found = notices_part()
    assert (found["state"], found["detail"]) == ("warning", "targets that take nothing: acme (410)")
    assert "stopped since" in gatehouse("notice-targets", "list").out
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", "Hm4vTz9cRk2bXw7nQe5yLs8dJg3pUa6F")
    assert "does not open the secret of acme" in notices_part()["detail"]


def test_a_new_secret_key_takes_the_targets_along(gatehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gatehouse("tenants", "create", "acme")
    gatehouse("notice-targets", "create", "acme", "--url", URL)
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY_BEFORE", os.environ["GATEHOUSE_SECRET_KEY"])
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", "Hm4vTz9cRk2bXw7nQe5yLs8dJg3pUa6F")
    assert gatehouse("token-keys", "reseal", "--json").json == {"resealed": ["notice-target acme"]}
    monkeypatch.delenv("GATEHOUSE_SECRET_KEY_BEFORE")
    assert notices_part()["state"] == "ok"
