"""Rights are given no further than they are held, and read again at each call."""

from typing import Any

import pytest
from logged_in import logged_in
from stage import ACTOR, IRIS_ROW, instances, key_id, problem, wait_until
from world import MINE, World

from gatehouse.identity.people import edit_person, suspend_person
from gatehouse.identity.tenants import remove_grant
from gatehouse.principal import OPERATOR_TENANT, TENANT_SCOPES, Role, Scope


def asked(world: World, method: str, path: str, token: str, body: Any = None) -> Any:
    given = {} if body is None else {"json": body}
    return world.live.client.request(method, path, headers={"authorization": f"Bearer {token}", "if-match": "*"}, **given)


@pytest.mark.parametrize("scope", sorted(set(Scope) - TENANT_SCOPES))
def test_row_47_a_tenants_admin_gives_no_scope_beyond_a_tenants(world: World, scope: Scope) -> None:
    token, own = world.key_of("admin"), key_id(world.stage.key(MINE))
    for method, path in (("POST", "/account/keys"), ("PATCH", f"/account/keys/{own}")):
        body = {"scopes": [Scope.MODELS_READ, scope]}
        assert problem(asked(world, method, path, token, body), 403, "beyond_own_key")["member"] == "scopes"
    assert asked(world, "POST", "/account/keys", token, {"scopes": sorted(TENANT_SCOPES)}).status_code == 201


def test_row_47_a_tenants_admin_makes_no_operator_and_no_admin_of_another_tenant(world: World) -> None:
    token = world.key_of("admin")
    for more in ({"role": Role.OPERATOR}, {"tenant": OPERATOR_TENANT}, {"scopes": ["admin:write"]}):
        problem(asked(world, "POST", "/account/people", token, {"name": "colleague", **more}), 422, "invalid_input")
    problem(asked(world, "POST", "/admin/people", token, {"name": "colleague", "role": Role.OPERATOR}), 403, "scope_missing")


@pytest.mark.parametrize("scope", sorted(set(Scope) - {Scope.ADMIN_WRITE}))
def test_row_47_an_operators_key_gives_its_own_kind_no_scope_that_it_lacks(world: World, scope: Scope) -> None:
    narrow = world.stage.key(OPERATOR_TENANT, scopes=frozenset({Scope.ADMIN_WRITE}))
    wide = key_id(world.stage.key(OPERATOR_TENANT, scopes=frozenset({scope})))
    for method, path, body in (
        ("POST", "/admin/keys", {"tenant": OPERATOR_TENANT, "scopes": [scope]}),
        ("PATCH", f"/admin/keys/{key_id(narrow)}", {"scopes": [Scope.ADMIN_WRITE, scope]}),
        ("PATCH", f"/admin/keys/{wide}", {"name": "mine"}),
        ("POST", f"/admin/keys/{wide}/rotate", {"grace_s": 0}),
    ):
        problem(asked(world, method, path, narrow, body), 403, "beyond_own_key")


def test_row_48_a_grant_taken_away_is_felt_within_a_second_and_the_token_stays(world: World) -> None:
    tenant = "matrix-bereft"
    key = world.stage.tenant(tenant, "iris")
    token = world.access_token(key, Scope.PREDICTIONS_CREATE)
    for credential in (key, token):
        assert world.live.predict(credential, instances(IRIS_ROW)).status_code == 200
    remove_grant(world.stage.database, ACTOR, tenant, "iris")
    assert wait_until(lambda: world.live.predict(token, instances(IRIS_ROW)).status_code != 200) < 1.0
    problem(world.live.predict(token, instances(IRIS_ROW)), 404, "not_found")
    assert world.live.get("/account", key).json()["endpoints"] == []
    world.stage.grant(tenant, "iris")
    assert wait_until(lambda: world.live.predict(token, instances(IRIS_ROW)).status_code == 200) < 1.0, "it is the same token"


def test_row_48_a_persons_rights_are_read_again_too(world: World) -> None:
    person = logged_in(world.stage, "matrix-passing", Role.OPERATOR)
    token = person.token(world.live)
    assert asked(world, "GET", "/admin/tenants", token).status_code == 200
    edit_person(world.stage.database, ACTOR, person.id, Role.AUDITOR)
    assert wait_until(lambda: asked(world, "GET", "/admin/tenants", token).status_code == 401) < 1.0, "of a role that is over"
    again = logged_in(world.stage, "matrix-leaving", Role.AUDITOR)
    token = again.token(world.live)
    assert asked(world, "GET", "/admin/tenants", token).status_code == 200
    suspend_person(world.stage.database, ACTOR, again.id)
    assert wait_until(lambda: asked(world, "GET", "/admin/tenants", token).status_code == 401) < 1.0
