"""`gatehouse audit`: list, show, verify and export of what was done by the other commands."""

import csv
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlalchemy import text

from gatehouse.cli.serve import serve_settings
from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.audit_chain import read_head
from gatehouse.db.session import Database, open_database
from gatehouse.errors import Refused
from gatehouse.settings import read_settings


@pytest.fixture
def database(state_dir: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    yield opened
    opened.close()


@pytest.fixture
def used(gatehouse: Any) -> Any:
    """Acme was made, renamed and suspended."""
    gatehouse("tenants", "create", "acme")
    gatehouse("tenants", "edit", "acme", "--plan", "standard")
    gatehouse("tenants", "suspend", "acme")
    return gatehouse


def logged_head(database: Database) -> str:
    with database.read() as session:
        return str(read_head(session))


def tamper(database: Database, *statements: str) -> None:
    with database.write() as session:
        for statement in ("DROP TRIGGER IF EXISTS audit_no_update", "DROP TRIGGER IF EXISTS audit_no_delete", *statements):
            session.execute(text(statement))


def test_list_shows_the_newest_first_and_narrows_and_pages(used: Any) -> None:
    used("plans", "create", "wide", "--requests", "9/s")
    rows = used("audit", "list", "--json").json
    assert [row["action"] for row in rows] == ["plan.create", "tenant.suspend", "tenant.edit", "tenant.create"]
    assert [row["id"] for row in rows] == [4, 3, 2, 1]
    assert all(row["actor"].startswith("os-user:") and row["source"] == "cli" for row in rows)
    assert [row["id"] for row in used("audit", "list", "--action", "tenant", "--limit", "2", "--json").json] == [3, 2]
    assert [row["id"] for row in used("audit", "list", "--before", "3", "--json").json] == [2, 1]
    assert [row["id"] for row in used("audit", "list", "--subject", "wide", "--since", "1h", "--json").json] == [4]
    assert used("audit", "list", "--until", "1h", "--json").json == []
    assert used("audit", "list", "--action", "ten%", "--json").json == []
    shown = used("audit", "list", "--limit", "2").out
    assert "tenant.suspend" in shown
    assert "older ones: --before 3" in shown


def test_show_says_before_and_after(used: Any) -> None:
    lines = used("audit", "show", "2").lines
    assert "action        tenant.edit" in lines
    assert 'plan          "trial" -> "standard"' in lines
    assert "in the chain  row 2, audit key version 1" in lines
    assert used("audit", "show", "2", "--json").json["detail"]["before"]["plan"] == "trial"
    assert "there is no row 77: gatehouse audit list" in used("audit", "show", "77", code=1).error


def test_row_99_verify_passes_and_names_what_was_changed_with_exit_code_1(used: Any, database: Database) -> None:
    head = logged_head(database)
    good = used("audit", "verify", "--head", head)
    assert good.lines == [f"3 rows in an unbroken chain; its head is {head}", "row 3 is the one whose head was logged"]
    assert good.error == ""
    assert used("audit", "verify", "--json").json["intact"] is True

    tamper(database, "UPDATE audit SET actor = 'os-user:mallory' WHERE id = 2")
    bad = used("audit", "verify", code=1)
    assert bad.lines[0] == "row 2 (id 2) was changed, or put in the place of another"
    assert [found["sequence"] for found in used("audit", "verify", "--json", code=1).json["findings"]] == [2]


def test_row_99_removed_newest_rows_are_found_by_the_head_that_was_logged(used: Any, database: Database) -> None:
    head = logged_head(database)
    tamper(database, "DELETE FROM audit WHERE id = 3", "UPDATE audit_head SET sequence = 2, mac = (SELECT mac FROM audit WHERE id = 2)")
    used("audit", "verify")
    found = used("audit", "verify", "--head", head, code=1).lines[0]
    assert found == "row 3, which was the newest when its head was logged, is gone; the newest is row 2 now"


def test_another_audit_key_is_said_to_be_the_likely_cause(used: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_AUDIT_KEY", "hM2xQ7vBn4Zt9Kc1Wy6Rj3Lp8Ds5Gf0A")
    assert "no row fits at all: is GATEHOUSE_AUDIT_KEY the key of this deployment?" in used("audit", "verify", code=1).lines


HEADS = ("UPDATE audit_head SET sequence = 'x'", "DELETE FROM audit_head", "UPDATE audit_head SET sequence = 1")


@pytest.mark.parametrize("statement", [*HEADS, "UPDATE audit_head SET mac = x'00', changed_at = 'garbage'"])
def test_row_99_a_head_that_is_none_is_named_and_a_change_refused_in_one_line(used: Any, database: Database, statement: str) -> None:
    tamper(database, statement)
    said = used("audit", "verify", code=1)
    assert said.lines[0].startswith("the head ")
    assert said.error == ""
    refused = used("tenants", "create", "late", code=1)
    assert refused.error == "gatehouse: the head of the audit trail is missing or was changed: gatehouse audit verify says what\n"
    assert "late" not in used("tenants", "list").out
    assert len(used("audit", "list", "--json").json) == 3
    for command in (("doctor",), ("secrets", "check")):
        found = {each["part"]: each for each in used(*command, "--json", code=1).json["findings"]}["audit trail"]
        assert "the head of the audit trail is missing or was changed" in found["detail"]


def test_a_moment_that_is_none_is_shown_as_none(used: Any, database: Database, tmp_path: Path) -> None:
    tamper(database, "UPDATE audit SET at = 'garbage' WHERE id = 2", "UPDATE audit SET at = x'ff00' WHERE id = 3")
    assert [row["at"] is None for row in used("audit", "list", "--json").json] == [True, True, False]
    assert used("audit", "list").out.count("no moment") == 2
    assert "action        tenant.edit" in used("audit", "show", "2").lines
    assert used("audit", "show", "2", "--json").json["at"] is None
    assert [json.loads(line)["at"] is None for line in used("audit", "export", "--format", "ndjson").out.splitlines()] == [
        False,
        True,
        True,
    ]
    assert [row["at"] for row in csv.DictReader(io.StringIO(used("audit", "export").out, newline=""))][1:] == ["", ""]
    assert used("audit", "verify", code=1).lines[0] == "row 2 (id 2) was changed, or put in the place of another"


def test_another_audit_key_is_refused_before_anything_is_changed(used: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_AUDIT_KEY", "hM2xQ7vBn4Zt9Kc1Wy6Rj3Lp8Ds5Gf0A")
    said = "GATEHOUSE_AUDIT_KEY (version 1) is not the key that row 3, the newest of the audit trail, was sealed with"
    refused = used("tenants", "create", "late", code=1).error
    assert said in refused
    assert refused.count("\n") == 1
    for command in (("doctor",), ("secrets", "check")):
        found = {each["part"]: each for each in used(*command, "--json", code=1).json["findings"]}["audit trail"]
        assert said in found["detail"]
    with pytest.raises(Refused) as start:
        serve_settings(read_settings())
    assert said in str(start.value)


@pytest.mark.parametrize("head", ["3", "0:" + "a" * 64, "3:" + "A" * 64, "3:abc", "x:" + "a" * 64])
def test_a_head_that_is_none_is_refused(used: Any, head: str) -> None:
    assert "write --head as a server has logged it" in used("audit", "verify", "--head", head, code=2).error


@pytest.mark.parametrize("wrong", [("list", "--limit", "0"), ("list", "--limit", "1001"), ("list", "--since", "soon"), ("show", "0")])
def test_what_is_no_row_or_time_is_a_usage_error(gatehouse: Any, wrong: tuple[str, ...]) -> None:
    assert gatehouse("audit", *wrong, code=2).out == ""


def test_row_74_export_writes_every_row_and_no_cell_starts_a_formula(used: Any, database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        record_audit(session, Actor("=cmd|' /C calc'!A0", "@here", "+request"), "tenant.edit", "-1+1", {"a": 1})
    out = tmp_path / "audit.csv"
    answer = used("audit", "export", "--out", str(out))
    assert "4 rows written to" in answer.error
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"), newline="")))
    assert [row["action"] for row in rows] == ["tenant.create", "tenant.edit", "tenant.suspend", "tenant.edit"]
    odd = rows[-1]
    assert (odd["actor"], odd["source"], odd["request_id"], odd["subject"]) == ("'=cmd|' /C calc'!A0", "'@here", "'+request", "'-1+1")
    lines = [json.loads(line) for line in used("audit", "export", "--format", "ndjson", "--action", "tenant.edit").out.splitlines()]
    assert [line["id"] for line in lines] == [2, 4]
    assert lines[1]["detail"] == {"a": 1}


def test_what_somebody_made_of_a_detail_is_shown_and_stops_nothing(used: Any, database: Database) -> None:
    tamper(database, "UPDATE audit SET detail = 'no json' WHERE id = 2")
    assert used("audit", "show", "2", "--json").json["detail"] == {"unreadable": "no json"}
    assert 'unreadable    "no json"' in used("audit", "show", "2").lines
