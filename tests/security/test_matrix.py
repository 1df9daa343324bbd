"""Every route by each of its methods as every kind of caller: what docs/security.md says of them is what they get."""

from typing import Any

import httpx2
import pytest
from access_table import ANSWERED, Access, access_table
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from stage import Live, problem
from world import TENANT_OF, World

from gatehouse.api.paths import PREDICTION_PATHS

TABLE = access_table()


def routes_of(live: Live) -> set[str]:
    """`METHOD /path` of every route of the app; HEAD is GET's."""
    dispatcher: Any = live.app._road
    while hasattr(dispatcher, "app"):
        dispatcher = dispatcher.app
    api = dispatcher._rest
    assert isinstance(api, FastAPI)
    routed = {f"{method} {context.path}" for context in iter_route_contexts(api.routes) for method in context.methods or ()}
    return {route for route in routed if not route.startswith("HEAD ")} | {f"POST {path}" for path in PREDICTION_PATHS}


def test_the_table_names_every_route_of_the_app_and_no_other(world: World) -> None:
    assert {str(access) for access in TABLE} == routes_of(world.live), "docs/security.md, 'Who may call what'"


@pytest.mark.parametrize("access", TABLE, ids=str)
def test_rows_39_41_and_43_each_caller_gets_what_the_table_says(world: World, access: Access) -> None:
    for caller, cell in access.cells.items():
        call = world.sample(access, caller, fresh=cell in ANSWERED)
        answer = world.send(call, world.token(caller, access))
        assert said(answer) == cell or (cell in ANSWERED and answer.is_success), f"{caller}: {answer.status_code} {answer.text[:300]}"
        if cell == "own":
            found = [mark for mark in world.marks_beside(TENANT_OF[caller]) if mark in answer.text]
            assert found == [], f"{caller} sees another tenant's"


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
