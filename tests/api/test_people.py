"""`/admin/people` and `/account/people`: who may look after whom, and what nobody may."""

import json
from typing import Any

import httpx2
import pytest
from logged_in import LoggedIn, logged_in
from stage import Live, key_id, problem, wait_until

from gatehouse.principal import TENANT_SCOPES, Role, Scope

pytestmark = pytest.mark.endpoints("iris v1")
SHOWN = {
    "id",
    "name",
    "role",
    "tenant",
    "state",
    "created_at",
    "suspended_at",
    "password_set_at",
    "last_login_at",
    "code_expires_at",
}


@pytest.fixture(scope="module")
def people(live: Live) -> dict[str, LoggedIn]:
    """Two tenants with an admin each, and those of the deployment."""
    for tenant in ("acme", "beta"):
        live.stage.tenant(tenant, "iris")
    return {
        "lead": logged_in(live.stage, "lead", Role.TENANT_ADMIN, "acme"),
        "other": logged_in(live.stage, "lead", Role.TENANT_ADMIN, "beta"),
        "auditor": logged_in(live.stage, "ann", Role.AUDITOR),
        "operator": logged_in(live.stage, "olaf", Role.OPERATOR),
        "second": logged_in(live.stage, "otto", Role.OPERATOR),
    }


def call(live: Live, who: LoggedIn | str, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
    token = who if isinstance(who, str) else who.token(live)
    given = {"authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None:
        return live.client.request(method, path, headers=given)
    return live.client.request(method, path, content=json.dumps(body).encode(), headers=given | {"content-type": "application/json"})


def invite(live: Live, who: LoggedIn, name: str) -> dict[str, Any]:
    answer = call(live, who, "POST", "/account/people", {"name": name})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_tenant_admin_looks_after_the_people_of_its_tenant(live: Live, people: dict[str, LoggedIn]) -> None:
    lead = people["lead"]
    answer = call(live, lead, "POST", "/account/people", {"name": "colleague"})
    made = answer.json()
    assert answer.headers["location"] == f"/account/people/{made['id']}"
    assert set(made) == SHOWN | {"code"}
    assert (made["name"], made["role"], made["tenant"], made["state"]) == ("colleague@acme", "tenant_admin", "acme", "invited")
    shown = call(live, lead, "GET", f"/account/people/{made['id']}")
    assert shown.json() == {name: value for name, value in made.items() if name != "code"}
    assert call(live, lead, "GET", "/account/people/colleague@acme").json() == shown.json()
    listed = call(live, lead, "GET", "/account/people").json()
    assert [person["name"] for person in listed["items"]] == ["colleague@acme", "lead@acme"]
    assert listed["next"] is None
    assert live.client.post("/login/accept", json={"code": made["code"], "password": "correct horse battery"}).status_code == 204
    login = live.client.post("/login", json={"name": "colleague@acme", "password": "correct horse battery"}).json()
    token = login["access_token"]
    assert live.get("/account/people", token).status_code == 200
    again = call(live, lead, "POST", f"/account/people/{made['id']}/reset").json()
    assert again["code"] not in (made["code"], None)
    assert call(live, lead, "POST", f"/account/people/{made['id']}/suspend").json()["state"] == "suspended"
    assert wait_until(lambda: live.get("/account", token).status_code == 401) < 1.0
    assert call(live, lead, "POST", "/account/people/colleague@acme/resume").json()["state"] == "active"
    problem(live.get("/account", token), 401, "credential_invalid")
    token = live.client.post("/login", json={"name": "colleague@acme", "password": "correct horse battery"}).json()["access_token"]
    assert live.get("/account", token).status_code == 200
    gone = call(live, lead, "DELETE", "/account/people/colleague@acme")
    assert (gone.status_code, gone.content) == (204, b"")
    assert wait_until(lambda: live.get("/account", token).status_code == 401) < 1.0
    problem(call(live, lead, "GET", f"/account/people/{made['id']}"), 404, "not_found")


def test_row_41_another_tenants_person_has_the_bytes_of_a_missing_one(live: Live, people: dict[str, LoggedIn]) -> None:
    lead, other = people["lead"], people["other"]
    for method, step in (("GET", ""), ("POST", "/reset"), ("POST", "/suspend"), ("POST", "/resume"), ("DELETE", "")):
        told = set()
        for person in (other.id, other.name, people["operator"].id, "olaf", "per_0000000000000000", "nobody@acme"):
            answer = call(live, lead, method, f"/account/people/{person}{step}")
            document = problem(answer, 404, "not_found")
            told.add(answer.text.replace(document["request_id"], ""))
        assert len(told) == 1, (method, step)
    assert call(live, other, "GET", "/account").status_code == 200
    assert [person["name"] for person in call(live, other, "GET", "/account/people").json()["items"]] == ["lead@beta"]


def test_row_41_a_name_that_another_tenant_has_is_free(live: Live, people: dict[str, LoggedIn]) -> None:
    assert invite(live, people["lead"], "shared")["name"] == "shared@acme"
    assert invite(live, people["other"], "shared")["name"] == "shared@beta"
    answer = call(live, people["lead"], "POST", "/account/people", {"name": "shared"})
    assert problem(answer, 409, "conflict")["detail"] == "There is a person of this name already."


def test_who_is_no_tenant_admin_looks_after_no_people_there(live: Live, people: dict[str, LoggedIn]) -> None:
    whole = live.stage.key("acme", scopes=TENANT_SCOPES)
    problem(call(live, whole, "GET", "/account/people"), 403, "login_needed")
    problem(call(live, whole, "POST", "/account/people", {"name": "x"}), 403, "login_needed")
    problem(call(live, people["auditor"], "GET", "/account/people"), 403, "scope_missing")
    assert "/admin/people" in problem(call(live, people["operator"], "GET", "/account/people"), 403, "scope_missing")["detail"]
    problem(call(live, people["lead"], "GET", "/admin/people"), 403, "scope_missing")


def test_on_account_a_tag_is_compared_where_it_is_sent(live: Live, people: dict[str, LoggedIn]) -> None:
    lead, path = people["lead"], f"/account/people/{invite(live, people['lead'], 'tagged')['id']}"
    tag = call(live, lead, "GET", path).headers["etag"]
    reset = call(live, lead, "POST", f"{path}/reset", if_match=tag)
    assert reset.headers["etag"] == call(live, lead, "GET", path).headers["etag"] != tag  # the code that it shows is no part of the state
    problem(call(live, lead, "POST", f"{path}/suspend", if_match=tag), 412, "precondition_failed")
    assert call(live, lead, "POST", f"{path}/suspend", if_match="*").status_code == 200
    problem(call(live, lead, "POST", f"{path}/reset"), 409, "conflict")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "role": "operator"}, "/role"),
        ({"name": "x", "tenant": "beta"}, "/tenant"),
        ({"name": "x", "scopes": ["admin:write"]}, "/scopes"),
        ({"name": "x", "password": "correct horse battery"}, "/password"),
        ({"name": "x", "suspended_at": None}, "/suspended_at"),
        ({"name": "X"}, "/name"),
        ({"name": "a@beta"}, "/name"),
        ({"name": "a\x00"}, "/name"),
        ({"name": "x" * 10_000}, "/name"),
        ({"name": "%"}, "/name"),
        ({}, "/name"),
    ],
    ids=str,
)
def test_row_44_an_invitation_sets_nothing_but_a_name(live: Live, people: dict[str, LoggedIn], body: dict[str, Any], pointer: str) -> None:
    answer = call(live, people["lead"], "POST", "/account/people", body)
    assert [error["pointer"] for error in problem(answer, 422, "invalid_input")["errors"]] == [pointer]


def test_row_47_nobody_suspends_removes_or_raises_oneself(live: Live, people: dict[str, LoggedIn]) -> None:
    lead, operator = people["lead"], people["operator"]
    problem(call(live, lead, "POST", f"/account/people/{lead.id}/suspend"), 409, "conflict")
    problem(call(live, lead, "DELETE", f"/account/people/{lead.id}"), 409, "conflict")
    assert call(live, lead, "POST", f"/account/people/{lead.id}/reset").status_code == 200, "by which it changes its own password"
    for method, step, body in (("DELETE", "", None), ("POST", "/suspend", None), ("PATCH", "", {"role": "auditor"})):
        problem(call(live, operator, method, f"/admin/people/olaf{step}", body, if_match="*"), 409, "conflict")


def test_operators_look_after_all_people_and_auditors_read(live: Live, people: dict[str, LoggedIn]) -> None:
    operator, auditor = people["operator"], people["auditor"]
    made = call(live, operator, "POST", "/admin/people", {"name": "novice", "role": "auditor"})
    assert made.status_code == 201
    assert made.headers["location"] == f"/admin/people/{made.json()['id']}"
    assert set(made.json()) == SHOWN | {"code"}
    path, tag = made.headers["location"], call(live, auditor, "GET", made.headers["location"]).headers["etag"]
    problem(call(live, operator, "PATCH", path, {"role": "operator"}), 428, "precondition_required")
    raised = call(live, operator, "PATCH", path, {"role": "operator"}, if_match=tag)
    assert raised.json()["role"] == "operator"
    problem(call(live, operator, "PATCH", path, {"role": "auditor"}, if_match=tag), 412, "precondition_failed")
    for step in ("suspend", "resume", "reset"):
        problem(call(live, auditor, "POST", f"{path}/{step}", if_match="*"), 403, "scope_missing")
        problem(call(live, operator, "POST", f"{path}/{step}"), 428, "precondition_required")
        assert call(live, operator, "POST", f"{path}/{step}", if_match="*").status_code == 200
    assert call(live, operator, "DELETE", path, if_match="*").status_code == 204
    problem(call(live, operator, "DELETE", path, if_match="*"), 404, "not_found")
    lead = call(live, operator, "POST", "/admin/people", {"name": "lead2", "role": "tenant_admin", "tenant": people["lead"].tenant_id})
    assert lead.json()["name"] == "lead2@acme"


def test_people_are_listed_by_pages_and_filters(live: Live, people: dict[str, LoggedIn]) -> None:
    auditor = people["auditor"]
    everybody = call(live, auditor, "GET", "/admin/people?limit=200").json()["items"]
    names, cursor = [], ""
    while True:
        page = call(live, auditor, "GET", f"/admin/people?limit=2{cursor}").json()
        names += [person["name"] for person in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == sorted(person["name"] for person in everybody)
    for query, test in (
        ("tenant=acme", lambda person: person["tenant"] == "acme"),
        (f"tenant={people['lead'].tenant_id}", lambda person: person["tenant"] == "acme"),
        ("role=operator", lambda person: person["role"] == "operator"),
        ("suspended=true", lambda person: person["state"] == "suspended"),
        ("suspended=false", lambda person: person["state"] != "suspended"),
    ):
        found = call(live, auditor, "GET", f"/admin/people?limit=200&{query}").json()["items"]
        assert found == [person for person in everybody if test(person)], query
    cursor = call(live, auditor, "GET", "/admin/people?limit=1").json()["next"]
    for query in (f"cursor={cursor}&role=operator", "limit=0", "limit=-1", "limit=1000000", "role=king", "tenant=%00", "tenant=%25", "x=1"):
        problem(call(live, auditor, "GET", f"/admin/people?{query}"), 422, "invalid_input")
    problem(call(live, people["lead"], "GET", f"/account/people?cursor={cursor}"), 422, "invalid_input")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "role": "tenant_admin"}, "/tenant"),
        ({"name": "x", "role": "tenant_admin", "tenant": "_operator"}, "/tenant"),
        ({"name": "x", "role": "tenant_admin", "tenant": "nowhere"}, "/tenant"),
        ({"name": "x", "role": "operator", "tenant": "acme"}, "/role"),
        ({"name": "x", "role": "king"}, "/role"),
        ({"name": "x", "role": ["operator"]}, "/role"),
        ({"name": "x@acme", "role": "operator"}, "/name"),
        ({"name": "x", "role": "operator", "scopes": []}, "/scopes"),
        ({"role": "operator"}, "/name"),
    ],
    ids=str,
)
def test_an_invitation_by_an_operator_that_cannot_be_is_named(
    live: Live, people: dict[str, LoggedIn], body: dict[str, Any], pointer: str
) -> None:
    answer = call(live, people["operator"], "POST", "/admin/people", body)
    errors = problem(answer, 422, "invalid_input")["errors"]
    assert [error["pointer"] for error in errors] == [pointer]
    assert "gatehouse " not in json.dumps(errors), "no command is told over HTTP"


def test_row_47_a_key_makes_and_resets_no_person_who_is_more_than_itself(live: Live, people: dict[str, LoggedIn]) -> None:
    narrow = live.stage.key("_operator", scopes={Scope.ADMIN_READ, Scope.ADMIN_WRITE})
    whole = live.stage.key("_operator", scopes=set(Scope))
    problem(call(live, narrow, "POST", "/admin/people", {"name": "spy", "role": "operator"}), 403, "beyond_own_key")
    problem(call(live, narrow, "POST", "/admin/people", {"name": "spy", "role": "auditor"}), 403, "beyond_own_key")
    problem(call(live, narrow, "POST", "/admin/people/otto/reset", if_match="*"), 403, "beyond_own_key")
    problem(call(live, narrow, "PATCH", "/admin/people/ann", {"role": "operator"}, if_match="*"), 403, "beyond_own_key")
    assert call(live, narrow, "POST", "/admin/people", {"name": "fine", "role": "tenant_admin", "tenant": "acme"}).status_code == 201
    assert call(live, narrow, "POST", "/admin/people/otto/suspend", if_match="*").status_code == 200
    assert call(live, narrow, "POST", "/admin/people/otto/resume", if_match="*").status_code == 200
    assert call(live, whole, "POST", "/admin/people", {"name": "spy", "role": "auditor"}).status_code == 201


def test_a_tenant_admin_does_the_whole_life_of_a_key_and_gives_no_more_than_its_role(live: Live, people: dict[str, LoggedIn]) -> None:
    lead = people["lead"]
    made = call(live, lead, "POST", "/account/keys", {"name": "nightly", "scopes": ["predictions:create", "models:read"]})
    assert made.status_code == 201, made.text
    key, path = made.json()["key"], f"/account/keys/{made.json()['id']}"
    row = {"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}
    assert live.predict(key, {"instances": [row]}).status_code == 200
    assert made.json()["id"] in [each["id"] for each in call(live, lead, "GET", "/account/keys").json()["keys"]]
    assert call(live, lead, "PATCH", path, {"networks": ["192.0.2.0/24"]}).json()["networks"] == ["192.0.2.0/24"]
    assert call(live, lead, "PATCH", path, {"networks": []}).json()["notices"] == []
    renewed = call(live, lead, "POST", f"{path}/rotate", {"grace_s": 0}).json()["key"]
    assert wait_until(lambda: live.predict(key, {"instances": [row]}).status_code == 401) < 1.0
    assert live.predict(renewed, {"instances": [row]}).status_code == 200
    assert call(live, lead, "DELETE", path).json()["revoked_at"] is not None
    for scope in ("admin:read", "admin:write", "metrics:read"):
        wider = call(live, lead, "POST", "/account/keys", {"name": "wide", "scopes": [scope]})
        assert problem(wider, 403, "beyond_own_key")["member"] == "scopes"
    every = sorted(scope.value for scope in TENANT_SCOPES)
    assert call(live, lead, "POST", "/account/keys", {"name": "all", "scopes": every}).json()["scopes"] == every
    theirs = live.stage.key("beta")
    problem(call(live, lead, "GET", f"/account/keys/{key_id(theirs)}"), 404, "not_found")
    problem(call(live, people["auditor"], "POST", "/account/keys", {"name": "x"}), 403, "scope_missing")


def test_a_person_has_no_key_to_rehearse_on_but_names_one(live: Live, people: dict[str, LoggedIn]) -> None:
    answer = call(live, people["lead"], "POST", "/account/rehearse-brownout", {"model": "iris", "api_version": "v1"})
    assert [error["pointer"] for error in problem(answer, 422, "invalid_input")["errors"]] == ["/key_id"]


def test_every_account_page_answers_a_person(live: Live, people: dict[str, LoggedIn]) -> None:
    for path in ("/account", "/account/usage", "/account/limits", "/account/migration", "/account/keys"):
        answer = call(live, people["lead"], "GET", path)
        assert answer.status_code == 200, (path, answer.text)
        assert "lead@beta" not in answer.text
