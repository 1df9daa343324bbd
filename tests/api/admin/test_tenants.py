"""`/admin/tenants` and `/admin/grants`: what the commands of the same names do, over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from admin_calls import Admin
from stage import IRIS_ROW, Live, instances, wait_until

from gatehouse.principal import Scope


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    return Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))


def test_a_tenant_is_made_with_plan_and_models_and_shown_by_id_or_name(admin: Admin) -> None:
    made = admin.created("/tenants", {"name": "borealis", "plan": "standard", "models": ["iris", "line"]})
    assert (made["plan"], made["default_model"], made["suspended_at"]) == ("standard", "iris", None)
    assert made["grants"] == [{"model": "iris", "api_version": None}, {"model": "line", "api_version": None}]
    assert admin.get(f"/tenants/{made['id']}") == admin.get("/tenants/borealis") == made
    assert made in admin.all("/tenants")


def test_an_edit_changes_plan_and_default_model(admin: Admin) -> None:
    made = admin.created("/tenants", {"name": "cirrus", "models": ["iris", "line"]})
    after = admin.edited(f"/tenants/{made['id']}", {"plan": "standard", "default_model": "line"})
    assert after == made | {"plan": "standard", "default_model": "line"}
    assert admin.get("/tenants/cirrus") == after


def test_a_suspended_tenant_is_refused_until_it_is_resumed(admin: Admin) -> None:
    admin.created("/tenants", {"name": "dune", "models": ["iris"]})
    key = admin.created("/keys", {"tenant": "dune"})["key"]

    def called() -> int:
        return admin.live.predict(key, instances(IRIS_ROW)).status_code

    assert called() == 200
    suspended = admin.changed("POST", "/tenants/dune/suspend", of="/tenants/dune")
    assert suspended["suspended_at"]
    assert wait_until(lambda: called() == 401) < 1.0
    assert admin.changed("POST", "/tenants/dune/resume", of="/tenants/dune")["suspended_at"] is None
    assert wait_until(lambda: called() == 200) < 1.0


def test_a_grant_is_added_once_and_removed(admin: Admin) -> None:
    tenant = admin.created("/tenants", {"name": "estuary"})
    made = admin.created("/grants", {"tenant": tenant["id"], "model": "iris", "api_version": "v1"})
    path = f"/grants/{tenant['id']}/iris/v1"
    assert admin.get(path) == made == admin.all("/grants?tenant=estuary")[0]
    again = admin.send("POST", "/grants", {"tenant": "estuary", "model": "iris", "api_version": "v1"})
    assert (again.status_code, again.json()) == (200, made)
    assert admin.get("/tenants/estuary")["default_model"] == "iris"
    assert admin.changed("DELETE", path) is None
    assert admin.refused("GET", path, 404, "not_found")
    assert admin.all("/grants?tenant=estuary") == []
    assert admin.get("/tenants/estuary")["default_model"] is None


def test_a_grant_of_all_versions_stands_for_each_and_is_taken_away_whole(admin: Admin) -> None:
    admin.created("/tenants", {"name": "fjord"})
    admin.created("/grants", {"tenant": "fjord", "model": "iris", "api_version": "v1"})
    every = admin.created("/grants", {"tenant": "fjord", "model": "iris"})
    assert every["api_version"] is None
    one = admin.send("POST", "/grants", {"tenant": "fjord", "model": "iris", "api_version": "v2"})
    assert (one.status_code, one.json(), one.headers["location"]) == (200, every, f"/admin/grants/{every['tenant_id']}/iris/all")
    admin.refused("DELETE", "/grants/fjord/iris/v1", 404, "not_found")
    admin.changed("DELETE", "/grants/fjord/iris/all")
    assert admin.get("/tenants/fjord")["grants"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "pointer"),
    [
        ("POST", "/tenants", {"name": "_operator"}, 422, "invalid_input", "/name"),
        ("POST", "/tenants", {"name": "x" * 64}, 422, "invalid_input", "/name"),
        ("POST", "/tenants", {"name": "a\x00b"}, 422, "invalid_input", "/name"),
        ("POST", "/tenants", {"name": "new", "plan": "no-such"}, 422, "invalid_input", "/plan"),
        ("POST", "/tenants", {"name": "new", "models": ["iris", "no_such"]}, 422, "invalid_input", "/models"),
        ("POST", "/tenants", {"name": "_operator", "id": "ten_0123456789abcdef"}, 422, "invalid_input", "/name"),
        ("POST", "/tenants", {"name": "granite"}, 409, "conflict", None),
        ("PATCH", "/tenants/granite", {}, 422, "invalid_input", ""),
        ("PATCH", "/tenants/granite", {"plan": None}, 422, "invalid_input", "/plan"),
        ("PATCH", "/tenants/granite", {"plan": "no-such"}, 422, "invalid_input", "/plan"),
        ("PATCH", "/tenants/granite", {"default_model": "line"}, 422, "invalid_input", "/default_model"),
        ("PATCH", "/tenants/granite", {"suspended_at": None}, 422, "invalid_input", "/suspended_at"),
        ("PATCH", "/tenants/nobody", {"plan": "trial"}, 404, "not_found", None),
        ("PATCH", "/tenants/ten_0123456789abcdef", {"plan": "trial"}, 404, "not_found", None),
        ("POST", "/tenants/_operator/suspend", None, 409, "conflict", None),
        ("POST", "/grants", {"tenant": "nobody", "model": "iris"}, 422, "invalid_input", "/tenant"),
        ("POST", "/grants", {"tenant": "granite", "model": "no_such"}, 422, "invalid_input", "/model"),
        ("POST", "/grants", {"tenant": "granite", "model": "iris", "api_version": "v9"}, 422, "invalid_input", "/api_version"),
        ("POST", "/grants", {"tenant": "granite", "model": "iris", "models": []}, 422, "invalid_input", "/models"),
        ("DELETE", "/grants/granite/line/all", None, 404, "not_found", None),
        ("DELETE", "/grants/granite/iris/v1000", None, 404, "not_found", None),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    admin: Admin, method: str, path: str, body: Any, status: int, code: str, pointer: str | None
) -> None:
    if admin.send("GET", "/tenants/granite").status_code == 404:
        admin.created("/tenants", {"name": "granite", "models": ["iris"]})
    answer = admin.refused(method, path, status, code, body, if_match="*")
    assert "gatehouse " not in answer["detail"], "no command of the shell"
    if pointer is not None:
        first = answer["errors"][0]
        assert first["pointer"] == pointer
        assert "gatehouse " not in first["detail"]
        assert "no-such" not in str(answer), "nothing that was sent is repeated"


def test_lists_are_narrowed_by_each_filter(admin: Admin) -> None:
    for name, plan in (("mesa-one", "trial"), ("mesa_two", "standard"), ("mesaxtwo", "standard")):
        admin.created("/tenants", {"name": name, "plan": plan})
    admin.created("/grants", {"tenant": "mesa-one", "model": "fragile"})
    admin.changed("POST", "/tenants/mesa_two/suspend", of="/tenants/mesa_two")

    def named(query: str) -> list[str]:
        return [tenant["name"] for tenant in admin.all(f"/tenants?{query}")]

    assert named("name_prefix=mesa") == ["mesa-one", "mesa_two", "mesaxtwo"]
    assert named("name_prefix=mesa_") == ["mesa_two"], "a wildcard of LIKE is a character like others"
    assert named("name_prefix=mesa&plan=standard&suspended=false") == ["mesaxtwo"]
    assert named("suspended=true&name_prefix=mesa") == ["mesa_two"]
    assert named("model=fragile") == ["mesa-one"]
    assert named("plan=nobody-has-it") == []
    assert [grant["tenant"] for grant in admin.all("/grants?model=fragile")] == ["mesa-one"]


def test_one_of_two_operators_who_edit_at_once_wins_and_the_other_is_told(admin: Admin) -> None:
    admin.created("/tenants", {"name": "narrows", "models": ["iris", "line"]})
    other = Admin(admin.live, admin.live.stage.key("_operator", scopes={Scope.ADMIN_READ, Scope.ADMIN_WRITE}))
    for _ in range(5):
        before = admin.get("/tenants/narrows")
        tag, start = admin.tag("/tenants/narrows"), Barrier(2)
        plan = "standard" if before["plan"] == "trial" else "trial"
        model = "line" if before["default_model"] == "iris" else "iris"

        def edit(who: Admin, body: Any, tag: str = tag, start: Barrier = start) -> int:
            start.wait()
            return who.send("PATCH", "/tenants/narrows", body, if_match=tag).status_code

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(edit, (admin, other), ({"plan": plan}, {"default_model": model})))
        assert sorted(outcomes) == [200, 412]
        won = {"plan": plan} if outcomes[0] == 200 else {"default_model": model}
        assert admin.get("/tenants/narrows") == before | won, "nothing of the other's"


def test_a_change_names_what_it_has_seen(admin: Admin) -> None:
    admin.created("/tenants", {"name": "oasis", "models": ["iris"]})
    body = {"plan": "standard"}
    stale = admin.tag("/tenants/oasis")
    admin.created("/grants", {"tenant": "oasis", "model": "line"})
    problem = admin.send("PATCH", "/tenants/oasis", body)
    assert (problem.status_code, problem.json()["code"]) == (428, "precondition_required")
    for given in (stale, f"W/{admin.tag('/tenants/oasis')}", '"of-nothing"', "without-quotes", ""):
        admin.refused("PATCH", "/tenants/oasis", 412, "precondition_failed", body, if_match=given)
    assert admin.get("/tenants/oasis")["plan"] == "trial"
    fresh = admin.tag("/tenants/oasis")
    answer = admin.send("PATCH", "/tenants/oasis", body, if_match=f'"of-nothing", {fresh}')
    assert (answer.status_code, answer.headers["etag"]) == (200, admin.tag("/tenants/oasis"))
    assert answer.headers["etag"] != fresh
