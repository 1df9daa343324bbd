"""What holds of every route: generated from the table of docs/security.md and the OpenAPI document, so that a new route is held to it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from access_table import ANSWERED, Access, access_table
from closed_schemas import open_places
from sample_calls import SampleCall, parameters_of, unlike
from stage import problem
from statements import statements
from wire import head, wire
from world import AT_LENGTH, ON_SQLITE, World

from gatehouse.api.paths import PREDICTION_PATHS

TABLE = access_table()
NOT_IDS = frozenset({"api_version", "older", "code", "name"})
BY_ID = [access for access in TABLE if {*parameters_of(access.path)} - NOT_IDS]
WRITES = [access for access in TABLE if access.method != "GET"]
ADMIN = [access for access in TABLE if access.path.startswith("/admin")]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def without_id(answer: httpx2.Response) -> tuple[int, str, dict[str, str]]:
    """An answer without what differs from call to call."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date", "ratelimit")}
    return answer.status_code, answer.text.replace(answer.headers["x-request-id"], "ID"), headers


@AT_LENGTH
@pytest.mark.parametrize("access", BY_ID, ids=str)
def test_row_41_what_is_anothers_is_like_what_is_not_there_in_bytes_and_in_work(world: World, access: Access) -> None:
    given = world.calls.parameters(access)
    world.live.caught_up()
    ids = [{name: unlike(value)} for name, value in given.items() if name not in NOT_IDS]
    for caller in refused(access):
        token = world.token(caller, access)
        world.send(world.calls.call(access, **given), token)  # known from now on
        told = [answered(world, world.calls.call(access, **given | other), token) for other in ({}, *ids)]
        assert told[1:] == told[:1] * len(ids), f"{caller}: {told}"


def refused(access: Access) -> Iterator[str]:
    """Whoever would find it out: each who gets a 404, and one of each other refusal, which comes before anything is looked for."""
    others = {cell: caller for caller, cell in access.cells.items() if cell not in ANSWERED}
    yield from (caller for caller, cell in access.cells.items() if cell == "404" or others.get(cell) == caller)


def answered(world: World, call: SampleCall, token: str | None) -> tuple[Any, list[str]]:
    """What was answered, and what the database was asked for it."""
    with statements(world.live) as seen:
        answer = world.send(call, token)
    return without_id(answer), [statement for _, statement in seen]


# ------------------------------------------------- 45: fields of answers

OPEN = {
    "POST /{api_version}/models/{model}/translate": "rows of the newer contract",
    "GET /admin/audit": "`detail`: what was before and after, of any noun",
    "GET /admin/audit/{row_id}": "the same",
    "GET /admin/notices/{notice_id}": "`body`: what was sent, of any kind of notice",
}
"""What may hold members that the document does not list, and why."""


@ON_SQLITE
@pytest.mark.parametrize("access", TABLE, ids=str)
def test_row_45_the_document_lists_every_field_of_an_answer(world: World, access: Access) -> None:
    """The matrix holds each live answer against it."""
    operation = world.calls.operation(access)
    if operation is None or str(access) in OPEN or access.path in PREDICTION_PATHS:  # clients of predictions are to expect more
        return
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    schemas = [content["schema"] for answer in answers for kind, content in answer.get("content", {}).items() if "json" in kind]
    assert [place for schema in schemas for place in open_places(world.document, schema)] == []


# ----------------------------------------------------- 43: admin functions


def spellings(path: str) -> Iterator[str]:
    """Of an admin path as a router might take it for the same."""
    yield from (path.upper(), path.replace("/admin", "/Admin"), path.replace("/admin", "/%61dmin"), path.replace("/admin/", "/admin%2f"))
    yield from (f"{path}/", f"/{path}", path.replace("/admin", "/./admin"), f"/account/..{path}", f"{path};x=1", f"{path}%00")


@ON_SQLITE
def test_row_43_no_admin_route_is_reached_by_another_method_case_encoding_or_slash(world: World) -> None:
    methods_of = {world.calls.call(access).path: access.method for access in ADMIN}
    before = world.state()
    for path, own in methods_of.items():
        targets = [f"{method} {path}" for method in METHODS] + [f"{own} {spelling}" for spelling in spellings(path)]
        for caller, refused in (("nobody", {401}), ("key", {403, 404, 405}), ("admin", {401, 403, 404, 405})):
            statuses = sent_as_they_are(world, targets, world.token(caller, ADMIN[0]))
            assert {target: status for target, status in statuses.items() if status not in refused} == {}, caller
    assert world.state() == before


def sent_as_they_are(world: World, targets: list[str], token: str | None) -> dict[str, int]:
    """The status of each, on one connection, without what a client would tidy up."""
    fields = ["Content-Type: application/json", "Content-Length: 2", "If-Match: *"]
    credential = [f"Authorization: Bearer {token}"] if token else []
    statuses = {}
    with wire(world.live.port) as connection:
        for target in targets:
            connection.send(head(target, *credential, *fields), b"{}")
            statuses[target] = connection.answer(target.split(" ")[0]).status
    return statuses


# ------------------------------------------------------ 44: mass assignment

CANARY = "row-44"
NOT_TO_SET = (
    "tenant",
    "tenant_id",
    "plan",
    "scopes",
    "model_version",
    "id",
    "key_id",
    "role",
    "state",
    "created_at",
    "suspended_at",
    "revoked_at",
    "digest",
    "password_hash",
    "sequence",
    "__class__",
)
"""Members that some table has and no caller may set by naming them, but where a route's own schema says so."""


@AT_LENGTH
@pytest.mark.parametrize("access", WRITES, ids=str)
def test_row_44_what_a_caller_may_not_set_is_refused_at_each_level(world: World, access: Access) -> None:
    schema = world.calls.body_schema(access)
    if schema is None:
        return
    call, token = world.calls.call(access), world.token(world.let_in(access), access)
    before = world.state()
    for place, members, body in bodies_with_more(world, call.body, schema):
        refusal = problem(world.send(replace(call, body=body), token), 422, "invalid_input")
        found = {error["pointer"] for error in refusal["errors"] if error["code"] == "unknown_field"}
        assert found == {f"{place}/{name}" for name in NOT_TO_SET if name not in members}, place
        assert CANARY not in str(refusal)
    assert world.state() == before


def bodies_with_more(world: World, least: Any, schema: dict[str, Any]) -> Iterator[tuple[str, set[str], Any]]:
    """A pointer, the members that are known there, and a body that has all the others there too."""
    known = set(schema.get("properties", ()))
    yield "", known, foreign(known) | least
    for name, inner in world.calls.objects_in(schema):
        known = set(inner["properties"])
        yield f"/{name}", known, least | {name: foreign(known) | world.calls.minimal(inner)}


def foreign(known: set[str]) -> dict[str, str]:
    return {name: CANARY for name in NOT_TO_SET if name not in known}


# ------------------------------------------- 44: what a route does not take

CHANGES = [access for access in WRITES if access.path.startswith(("/admin", "/account"))]
JUNK: tuple[dict[str, Any], ...] = ({"json": {"role": CANARY}}, {"json": []}, {"data": {"role": CANARY}}, {"content": b"\x00"})


@AT_LENGTH
@pytest.mark.parametrize("access", CHANGES, ids=str)
def test_row_44_a_body_where_none_is_taken_and_a_parameter_that_is_not_known_are_refused(world: World, access: Access) -> None:
    asked = world.calls.call(access).sent(world.token(world.let_in(access), access))
    responses = (world.calls.operation(access) or {})["responses"]
    before = world.state()
    if "requestBody" not in (world.calls.operation(access) or {}):
        for junk in JUNK:
            refusal = problem(world.live.client.request(**asked | junk), 422, "invalid_input")
            assert [error["pointer"] for error in refusal["errors"]] == [""], junk
            assert CANARY not in str(refusal)
    for name in ("plan", "bogus"):
        refusal = problem(world.live.client.request(**asked | {"params": asked["params"] | {name: CANARY}}), 422, "invalid_input")
        assert [error["parameter"] for error in refusal["errors"]] == [name]
        assert CANARY not in str(refusal)
    assert {"408", "413", "422"} <= responses.keys()
    assert world.state() == before


def test_row_44_an_empty_object_passes_where_no_body_is_taken_and_a_scope_that_lacks_comes_first(world: World) -> None:
    access = next(access for access in CHANGES if str(access) == "POST /admin/tenants/{tenant}/suspend")
    asked = world.calls.call(access, fresh=True).sent(world.token("operator's key", access))
    assert world.live.client.request(**asked | {"json": {}}).status_code == 200
    refused = world.calls.call(access).sent(world.token("key", access))
    problem(world.live.client.request(**refused | {"json": {"role": CANARY}}), 403, "scope_missing")
