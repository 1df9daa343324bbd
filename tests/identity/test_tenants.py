"""Tenants and grants, on both databases: what is stored, numbered and audited, and what is refused."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from sqlmodel import Session, col, select

from gatehouse.db.audit import Actor
from gatehouse.db.revision import Change, changes_since, last_revision
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity import tenants
from gatehouse.identity.store import find_tenant

ALICE = Actor("os-user:alice", "cli")
ENDPOINTS = {"churn": frozenset({"v1", "v2"}), "iris": frozenset({"v1"})}


def known(_session: Session) -> Mapping[str, frozenset[str]]:
    return ENDPOINTS


def audit(database: Database) -> list[tuple[str, str, Any]]:
    with database.read() as session:
        rows = session.exec(select(AuditTable).order_by(col(AuditTable.id))).all()
    assert {(row.actor, row.source) for row in rows} <= {("os-user:alice", "cli")}
    return [(row.action, row.subject, json.loads(row.detail)) for row in rows]


def changes(database: Database, since: int = 0) -> list[Change]:
    with database.read() as session:
        return changes_since(session, since)


def test_new_tenant_has_the_trial_plan_and_no_grant(database: Database) -> None:
    made = tenants.create_tenant(database, ALICE, "acme", known)
    assert re.fullmatch(r"ten_[0-9A-Za-z]{16}", made.tenant.id)
    assert (made.tenant.plan, made.tenant.default_model, made.tenant.suspended_at, made.grants) == ("trial", None, None, [])
    assert tenants.list_tenants(database) == [made.tenant]
    assert changes(database) == [Change(1, "tenant", made.tenant.id)]
    assert audit(database) == [("tenant.create", "acme", {"after": tenants.facts_of_tenant(made.tenant)})]


def test_first_model_granted_is_the_default_model_and_stays_it(database: Database) -> None:
    made = tenants.create_tenant(database, ALICE, "acme", known, models=["iris", "churn", "iris"])
    assert made.tenant.default_model == "iris"
    assert [(grant.model, grant.api_version) for grant in made.grants] == [("churn", None), ("iris", None)]
    assert [change.kind for change in changes(database)] == ["tenant", "grant", "grant"]
    assert [entry[0] for entry in audit(database)] == ["tenant.create", "grant.add", "grant.add"]


def test_tenant_that_would_get_an_unknown_model_is_not_made(database: Database) -> None:
    with pytest.raises(NotKnown, match=re.escape("no model 'chrun'; known models: churn, iris; did you mean churn?")):
        tenants.create_tenant(database, ALICE, "acme", known, models=["iris", "chrun"])
    assert tenants.list_tenants(database) == []
    assert changes(database) == []
    assert audit(database) == []


@pytest.mark.parametrize("name", ["", "Acme", "-acme", "_acme", "a b", "a" * 64, "acmé", "acme\n", "=cmd", "_operator"])
def test_names_that_do_not_fit_are_refused(database: Database, name: str) -> None:
    with pytest.raises(Refused):
        tenants.create_tenant(database, ALICE, name, known)
    assert tenants.list_tenants(database) == []


def test_a_name_is_given_once(database: Database) -> None:
    tenants.create_tenant(database, ALICE, "acme", known)
    with pytest.raises(Refused, match="there is a tenant 'acme' already"):
        tenants.create_tenant(database, ALICE, "acme", known)


def test_unknown_names_are_answered_with_the_known_ones(database: Database) -> None:
    tenants.create_tenant(database, ALICE, "acme", known)
    tenants.create_tenant(database, ALICE, "demo", known)
    with pytest.raises(NotKnown, match=re.escape("no tenant 'acmee'; known tenants: acme, demo; did you mean acme?")):
        tenants.suspend_tenant(database, ALICE, "acmee")
    with pytest.raises(NotKnown, match=re.escape("no plan 'gold'; known plans: standard, trial")):
        tenants.edit_tenant(database, ALICE, "acme", plan="gold")
    with pytest.raises(NotKnown, match=re.escape("no API version 'v3' of churn; known API versions of churn: v1, v2")):
        tenants.add_grant(database, ALICE, "acme", "churn", known, api_version="v3")


def test_only_a_granted_model_becomes_the_default(database: Database) -> None:
    tenants.create_tenant(database, ALICE, "acme", known, models=["iris"])
    with pytest.raises(NotKnown, match=re.escape("no model 'churn' granted to acme; known models granted to acme: iris")):
        tenants.edit_tenant(database, ALICE, "acme", default_model="churn")
    tenants.add_grant(database, ALICE, "acme", "churn", known, api_version="v2")
    assert tenants.edit_tenant(database, ALICE, "acme", default_model="churn", plan="standard").default_model == "churn"
    [tenant] = tenants.list_tenants(database)
    assert (tenant.default_model, tenant.plan) == ("churn", "standard")
    action, subject, detail = audit(database)[-1]
    assert (action, subject) == ("tenant.edit", "acme")
    sides = [(detail[side]["plan"], detail[side]["default_model"]) for side in ("before", "after")]
    assert sides == [("trial", "iris"), ("standard", "churn")]


def test_suspending_and_resuming_are_changes_once(database: Database) -> None:
    made = tenants.create_tenant(database, ALICE, "acme", known)
    since = changes(database)[-1].revision
    first = tenants.suspend_tenant(database, ALICE, "acme")
    assert tenants.suspend_tenant(database, ALICE, "acme").suspended_at == first.suspended_at
    assert tenants.resume_tenant(database, ALICE, "acme").suspended_at is None
    tenants.resume_tenant(database, ALICE, "acme")
    assert changes(database, since) == [Change(since + 1, "tenant", made.tenant.id), Change(since + 2, "tenant", made.tenant.id)]
    assert [entry[0] for entry in audit(database)] == ["tenant.create", "tenant.suspend", "tenant.resume"]


def test_deployments_own_tenant_cannot_be_suspended(database: Database) -> None:
    with database.write() as session:
        tenants.operator_tenant(session, ALICE)
    with pytest.raises(Refused, match="_operator cannot be suspended"):
        tenants.suspend_tenant(database, ALICE, "_operator")


def test_a_grant_of_all_versions_takes_the_place_of_single_ones(database: Database) -> None:
    tenants.create_tenant(database, ALICE, "acme", known)
    tenants.add_grant(database, ALICE, "acme", "churn", known, api_version="v1")
    made = tenants.add_grant(database, ALICE, "acme", "churn", known)
    assert [(grant.model, grant.api_version) for grant in made.grants] == [("churn", None)]
    assert made.changed


@pytest.mark.parametrize("again", [None, "v1"])
def test_a_grant_that_is_held_changes_nothing(database: Database, again: str | None) -> None:
    tenants.create_tenant(database, ALICE, "acme", known, models=["churn"])
    before = changes(database)
    assert not tenants.add_grant(database, ALICE, "acme", "churn", known, api_version=again).changed
    assert changes(database) == before


def test_losing_the_default_model_leaves_none_rather_than_another(database: Database) -> None:
    made = tenants.create_tenant(database, ALICE, "acme", known, models=["iris", "churn"])
    left = tenants.remove_grant(database, ALICE, "acme", "iris")
    assert (left.tenant.default_model, [grant.model for grant in left.grants]) == (None, ["churn"])
    assert changes(database)[-1] == Change(4, "grant", made.tenant.id)
    gone = {"model": "iris", "api_version": None, "default_model": "iris"}
    assert audit(database)[-1] == ("grant.remove", "acme", {"before": gone, "after": {"default_model": None}})


def test_default_model_stays_while_one_of_its_versions_is_granted(database: Database) -> None:
    tenants.create_tenant(database, ALICE, "acme", known)
    tenants.add_grant(database, ALICE, "acme", "churn", known, api_version="v1")
    tenants.add_grant(database, ALICE, "acme", "churn", known, api_version="v2")
    left = tenants.remove_grant(database, ALICE, "acme", "churn", api_version="v1")
    assert (left.tenant.default_model, [grant.api_version for grant in left.grants]) == ("churn", ["v2"])
    assert tenants.remove_grant(database, ALICE, "acme", "churn", api_version="v2").tenant.default_model is None


def test_taking_what_is_not_granted_says_what_is(database: Database) -> None:
    tenants.create_tenant(database, ALICE, "acme", known, models=["churn"])
    with pytest.raises(NotKnown, match=re.escape("no model 'iris' granted to acme; known models granted to acme: churn")):
        tenants.remove_grant(database, ALICE, "acme", "iris")
    with pytest.raises(Refused, match="acme may call all API versions of churn"):
        tenants.remove_grant(database, ALICE, "acme", "churn", api_version="v1")
    tenants.add_grant(database, ALICE, "acme", "iris", known, api_version="v1")
    with pytest.raises(NotKnown, match=re.escape("known API versions of iris granted to acme: v1")):
        tenants.remove_grant(database, ALICE, "acme", "iris", api_version="v2")


def test_grants_are_listed_for_one_tenant_or_all(database: Database) -> None:
    tenants.create_tenant(database, ALICE, "acme", known, models=["iris"])
    tenants.create_tenant(database, ALICE, "demo", known, models=["churn"])
    assert [(grant.tenant, grant.model) for grant in tenants.list_grants(database)] == [("acme", "iris"), ("demo", "churn")]
    assert [grant.model for grant in tenants.list_grants(database, "demo")] == ["churn"]


def test_operator_tenant_is_made_once(database: Database) -> None:
    for _ in range(2):
        with database.write() as session:
            tenants.operator_tenant(session, ALICE)
    with database.read() as session:
        assert find_tenant(session, "_operator") is not None
        assert last_revision(session) == 1
