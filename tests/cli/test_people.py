"""`gatehouse people`: what it does, says and refuses."""

import os
import re
from pathlib import Path
from typing import Any

from audit_keys import AUDIT_KEYS

from gatehouse.db.session import open_database
from gatehouse.identity.login_trail import LoginTrail
from gatehouse.identity.logins import Logins
from gatehouse.identity.passwords import Passwords
from gatehouse.identity.peppers import Peppers

CODE = re.compile(r"once_[0-9A-Za-z]{32}")


def test_the_first_operator_is_told_the_code_once(gatehouse: Any) -> None:
    assert gatehouse("people", "list").lines == ["there are no people yet: gatehouse people create-operator NAME"]
    said = gatehouse("people", "create-operator", "alice").lines
    assert said[0].startswith("alice is operator (per_")
    assert CODE.search(said[1])
    assert "/login/accept" in said[3]
    assert '"name": "alice"' in said[4]
    assert not CODE.search(gatehouse("people", "show", "alice").out + gatehouse("people", "list").out)
    shown = gatehouse("people", "show", "alice", "--json").json
    assert (shown["role"], shown["tenant"], shown["state"], shown["password_set_at"]) == ("operator", "_operator", "invited", None)
    assert shown["code_expires_at"] is not None


def test_a_tenants_people_have_names_of_their_own(gatehouse: Any) -> None:
    for tenant in ("acme", "beta"):
        gatehouse("tenants", "create", tenant)
        made = gatehouse("people", "invite", "lead", "--tenant", tenant, "--json").json
        assert (made["name"], made["role"], made["state"]) == (f"lead@{tenant}", "tenant_admin", "invited")
        assert CODE.fullmatch(made["code"])
    assert [each["name"] for each in gatehouse("people", "list", "--tenant", "acme", "--json").json] == ["lead@acme"]
    assert "lead@beta" in gatehouse("people", "list").out


def test_suspending_resuming_changing_the_role_and_removing_say_what_holds(gatehouse: Any) -> None:
    gatehouse("people", "invite", "bea", "--role", "auditor")
    assert gatehouse("people", "edit", "bea", "--role", "operator").lines == ["bea is operator"]
    assert gatehouse("people", "suspend", "bea").lines == ["bea is suspended: gatehouse people resume bea"]
    assert gatehouse("people", "show", "bea", "--json").json["state"] == "suspended"
    assert gatehouse("people", "resume", "bea").lines[0].endswith("can log in once a password is set: gatehouse people reset bea")
    assert CODE.search(gatehouse("people", "reset", "bea").out)
    removed = gatehouse("people", "remove", "bea", "--wait", "--json").json
    assert (removed["name"], removed["servers"]["missing"]) == ("bea", [])
    assert gatehouse("people", "list", "--json").json == []


def test_refusals_are_one_line_with_the_remedy(gatehouse: Any) -> None:
    gatehouse("tenants", "create", "acme")
    gatehouse("people", "invite", "lead", "--tenant", "acme")
    gatehouse("people", "invite", "bea", "--role", "auditor")
    gatehouse("people", "suspend", "bea")
    for arguments, line in (
        (("show", "nobody"), "nobody is called 'nobody': gatehouse people list shows who there is"),
        (("show", "a b"), "name the person as they log in, such as alice or lead@acme, or by the id: gatehouse people list"),
        (("invite", "lead", "--tenant", "acme"), "lead@acme is there already: for another password, gatehouse people reset lead@acme"),
        (("invite", "x", "--tenant", "beta"), "no tenant 'beta'; known tenants: _operator, acme"),
        (("invite", "x", "--role", "tenant_admin"), "a tenant admin needs a tenant: name it with --tenant"),
        (
            ("invite", "x", "--role", "auditor", "--tenant", "acme"),
            "people of a tenant can only be tenant_admin: leave --tenant out for an auditor",
        ),
        (("reset", "bea"), "bea is suspended: gatehouse people resume bea comes first"),
        (("edit", "lead@acme", "--role", "operator"), "lead@acme is of acme and can only be tenant_admin"),
    ):
        answer = gatehouse("people", *arguments, code=1)
        assert answer.error == f"gatehouse: {line}\n", arguments
        assert answer.out == ""
    assert gatehouse("people", "invite", "Lead", "--tenant", "acme", code=1).error.startswith(
        "gatehouse: a person's name has 1 to 63 small"
    )
    assert "say who it is" in gatehouse("people", "invite", "x", code=2).error


def test_a_second_first_operator_is_invited_instead(gatehouse: Any, state_dir: Path) -> None:
    code = gatehouse("people", "create-operator", "alice", "--json").json["code"]
    assert gatehouse("people", "create-operator", "bob", "--json").json["name"] == "bob"  # as long as nobody can log in
    accept(state_dir, code)
    refused = gatehouse("people", "create-operator", "carl", code=1).error
    assert refused == "gatehouse: alice is an operator already: gatehouse people invite carl --role operator\n"
    last = "gatehouse: alice is the last operator who can log in: gatehouse people invite NAME --role operator first\n"
    for arguments in (("suspend", "alice"), ("remove", "alice"), ("edit", "alice", "--role", "auditor")):
        assert gatehouse("people", *arguments, code=1).error == last, arguments


def accept(state_dir: Path, code: str) -> None:
    """Set a password, as `POST /login/accept` does."""
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    peppers = Peppers({1: os.environ["GATEHOUSE_KEY_PEPPER"].encode()})
    Logins(database, Passwords(), peppers, LoginTrail(database)).accept(code, "correct horse battery", "192.0.2.1", "req_1")
    database.close()
