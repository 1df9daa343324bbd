"""Every route by each of its methods as every kind of caller: what docs/security.md says of them is what they get, and no field more."""

import httpx2
import pytest
from access_table import ANSWERED, Access, access_table
from closed_schemas import check_answer
from stage import problem
from world import MINE, ON_POSTGRESQL, ON_SQLITE, STEPS, TENANT_OF, World

from gatehouse.principal import OPERATOR_TENANT, TENANT_SCOPES, Scope

TABLE = access_table()


def test_the_table_names_every_route_of_the_app_and_no_other(world: World) -> None:
    assert {str(access) for access in TABLE} == world.routes(), "docs/security.md, 'Who may call what'"


@ON_SQLITE
@pytest.mark.parametrize("access", TABLE, ids=str)
def test_rows_39_41_43_and_45_each_caller_gets_what_the_table_says(world: World, access: Access) -> None:
    check_callers(world, access)


@ON_POSTGRESQL
@pytest.mark.parametrize("access", TABLE[::5], ids=str)
def test_rows_39_41_43_and_45_some_of_it_on_postgresql(world: World, access: Access) -> None:
    check_callers(world, access)


@pytest.mark.soak
@ON_POSTGRESQL
@pytest.mark.parametrize("access", TABLE, ids=str)
def test_rows_39_41_43_and_45_all_of_it_on_postgresql(world: World, access: Access) -> None:
    check_callers(world, access)


def check_callers(world: World, access: Access) -> None:
    """A call by each kind of caller."""
    for caller, cell in access.cells.items():
        call = world.sample(access, caller, fresh=cell in ANSWERED)
        answer = world.send(call, world.token(caller, access))
        taken = answer.is_success or (access.path in STEPS and answer.status_code in (409, 422))
        assert said(answer) == cell or (cell in ANSWERED and taken), f"{caller}: {answer.status_code} {answer.text[:300]}"
        if answer.is_success:
            check_answer(world.document, world.calls.operation(access), answer)
        if cell == "own":
            found = [mark for mark in world.marks_beside(TENANT_OF[caller]) if mark in answer.text]
            assert found == [], f"{caller} sees another tenant's"


@ON_SQLITE
@pytest.mark.parametrize("scope", sorted(Scope))
def test_row_39_a_credential_with_one_scope_enters_the_routes_of_that_scope_alone(world: World, scope: Scope) -> None:
    key = world.stage.key(MINE if scope in TENANT_SCOPES else OPERATOR_TENANT, scopes=frozenset({scope}))
    narrowed = world.access_token(world.key_of("key" if scope in TENANT_SCOPES else "operator's key"), scope)
    for credential, table in ((key, TABLE), (narrowed, [access for access in TABLE if access.scope == scope])):
        for access in (access for access in table if access.scope is not None):
            answer = world.send(world.calls.call(access, fresh=access.scope == scope), credential)
            if access.scope != scope:
                assert problem(answer, 403, "scope_missing")["scope"] == access.scope, str(access)
            else:
                assert said(answer) != "403", str(access)


REFUSALS = {
    ("credential_missing", 401): "401",
    ("credential_invalid", 401): "401",
    ("invalid_client", 401): "401",
    ("scope_missing", 403): "403",
    ("not_found", 404): "404",
    ("login_too_old", 403): "log in",
    ("login_needed", 403): "people",
}


def said(answer: httpx2.Response) -> str:
    """The cell that a refusal is; its code for any other."""
    if answer.is_success:
        return "answered"
    document = answer.json()
    code: str = document.get("error") or document["code"]  # the first by RFC 6749 5.2
    if "error" not in document:
        problem(answer, answer.status_code, code)
    return REFUSALS.get((code, answer.status_code), code)
