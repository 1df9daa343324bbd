"""What bad input gets, on every list and every change of the OpenAPI document: told what is wrong, never a 5xx, and nothing is changed.

Fields that no caller may set, ids of others and wider scopes: tests/security/test_every_route.py and test_rights.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from access_table import Access, access_table
from logged_in import logged_in
from sample_calls import SampleCall
from stage import problem
from world import AT_LENGTH, HOOK, World

from gatehouse.principal import Role

TABLE = access_table()
CHANGES = [access for access in TABLE if access.method != "GET" and access.path.startswith(("/admin", "/account"))]
READS = [access for access in TABLE if access.method == "GET" and access.path.startswith(("/admin", "/account"))]
EDITS = [access for access in CHANGES if access.method == "PATCH" and access.path.startswith("/admin")]
ODD_TEXTS = ("_%", "a\x00b", "'", "..", "x" * 1500, "\U0001f4a9")
ODD_LIMITS = ("0", "-1", "201", "99999999999999999999", "1.5", "x", "")
OTHER: dict[str, Any] = {
    "/admin/tenants/{tenant}": {"plan": "trial"},
    "/admin/people/{person}": {"role": Role.OPERATOR},
    "/admin/notice-targets/{tenant}": {"url": f"{HOOK}/other"},
}
"""Bodies that change something, where those of the matrix leave a thing as it is."""


def let_in(world: World, access: Access) -> str:
    """The token of a caller who may make this call."""
    token = world.token(world.let_in(access), access)
    assert token is not None
    return token


def parameters(world: World, access: Access, place: str) -> dict[str, Any]:
    """What the document says of the parameters in the query or the headers, by name."""
    operation = world.calls.operation(access) or {}
    return {each["name"]: each for each in operation.get("parameters", []) if each["in"] == place}


# ------------------------------------------------------------------- lists


def lists(world: World) -> list[Access]:
    return [access for access in READS if "cursor" in parameters(world, access, "query")]


def test_a_limit_that_is_none_is_named(world: World) -> None:
    for access in lists(world):
        for limit in ODD_LIMITS:
            assert refused_parameter(world, access, limit=limit) == {"limit"}, str(access)


def test_a_cursor_of_another_list_and_one_that_is_none_is_named(world: World) -> None:
    found = {str(access): cursor for access in lists(world) if (cursor := cursor_of(world, access))}
    assert len(found) > 3
    for access in lists(world):
        others = [cursor for name, cursor in found.items() if name != str(access)]
        for cursor in (*others, "A", "%", "e30", "x" * 1500):
            assert refused_parameter(world, access, cursor=cursor) == {"cursor"}, str(access)


def cursor_of(world: World, access: Access) -> str | None:
    """Of the second page of one item."""
    page = world.send(replace(world.calls.call(access), query={"limit": "1"}), let_in(world, access)).json()
    cursor: str | None = page["next"]
    return cursor


def refused_parameter(world: World, access: Access, **query: str) -> set[str]:
    refusal = world.send(replace(world.calls.call(access), query=query), let_in(world, access))
    return {error["parameter"] for error in problem(refusal, 422, "invalid_input")["errors"]}


@AT_LENGTH
@pytest.mark.parametrize("access", READS, ids=str)
def test_wildcards_nul_and_long_texts_in_a_filter_are_refused_or_find_nothing(world: World, access: Access) -> None:
    token = let_in(world, access)
    filters = parameters(world, access, "query").keys() - {"limit", "cursor"}
    for name in filters:
        for text in ODD_TEXTS:
            answer = world.send(replace(world.calls.call(access), query={name: text}), token)
            nothing = answer.is_success and answer.json().get("items") == []
            assert nothing or answer.status_code in (404, 422), (name, text, answer.text[:300])
    if filters:
        assert refused_parameter(world, access, nobody_knows="%") == {"nobody_knows"}


# ----------------------------------------------------------------- changes


def texts_in(body: Any) -> Iterator[str]:
    """Members of a body that are texts."""
    return (name for name, value in body.items() if isinstance(value, str)) if isinstance(body, dict) else iter(())


@AT_LENGTH
@pytest.mark.parametrize("access", CHANGES, ids=str)
def test_odd_texts_in_a_body_are_refused_and_change_nothing(world: World, access: Access) -> None:
    call, token = world.calls.call(access), let_in(world, access)
    before = world.state()
    for name in texts_in(call.body):
        for text in (*ODD_TEXTS, "", None, 7, ["x"]):
            answer = world.send(replace(call, body={**call.body, name: text}), token)
            allowed = text is None and answer.is_success  # null, where a member may be left out
            assert answer.status_code in (404, 409, 422) or allowed, (name, text, answer.text[:300])
            before = world.state() if allowed else before
        huge = world.send(replace(call, body={**call.body, name: "x" * 1024 * 1024}), token)
        assert huge.status_code in (413, 422), huge.text[:300]
    assert world.state() == before


@AT_LENGTH
@pytest.mark.parametrize("access", CHANGES, ids=str)
def test_a_change_without_a_tag_is_428_where_one_is_needed_and_a_stale_one_is_412(world: World, access: Access) -> None:
    header = parameters(world, access, "header").get("If-Match")
    if header is None:
        return
    call, token = world.calls.call(access, fresh=True), let_in(world, access)
    before = world.state()
    for tag in ('"0123456789abcdef0123456789abcdef"', "x", ""):
        problem(matched(world, call, token, tag), 412, "precondition_failed")
    if header["required"]:
        problem(matched(world, call, token, None), 428, "precondition_required")
    assert world.state() == before


def matched(world: World, call: SampleCall, token: str, tag: str | None) -> Any:
    """The call with this If-Match."""
    asked = call.sent(token)
    del asked["headers"]["if-match"]
    return world.live.client.request(**asked | {"headers": asked["headers"] | ({} if tag is None else {"if-match": tag})})


@pytest.mark.parametrize("access", EDITS, ids=str)
def test_of_two_operators_who_edit_at_once_one_wins_and_the_other_is_told(world: World, access: Access) -> None:
    barrier, call = Barrier(2), world.calls.call(access, fresh=True)
    if access.path in OTHER:
        call = replace(call, body=OTHER[access.path])
    if access.path == "/admin/people/{person}":
        call = replace(call, path=f"/admin/people/{logged_in(world.stage, 'matrix-rising', Role.AUDITOR).id}")
    tokens = [world.key_of("operator's key"), world.key_of("operator")]
    tag = world.live.get(call.path, tokens[0]).headers["etag"]

    def edit(token: str) -> tuple[int, str]:
        barrier.wait()
        answer = matched(world, call, token, tag)
        return answer.status_code, answer.json().get("code", "")

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(edit, tokens)) == [(200, ""), (412, "precondition_failed")]


def test_nul_is_refused_in_every_filter_and_every_body(world: World) -> None:
    """PostgreSQL takes it in no text."""
    for access in READS:
        for name in parameters(world, access, "query"):
            answer = world.send(replace(world.calls.call(access), query={name: "a\x00"}), let_in(world, access))
            assert answer.status_code in (404, 422), (str(access), name, answer.text[:300])
    for access in CHANGES:
        call = world.calls.call(access)
        for name in texts_in(call.body):
            answer = world.send(replace(call, body={**call.body, name: "a\x00"}), let_in(world, access))
            assert answer.status_code == 422, (str(access), name, answer.text[:300])


def test_the_lists_are_those_of_the_issue(world: World) -> None:
    paths = {access.path for access in lists(world)}
    assert paths >= {"/admin/tenants", "/admin/plans", "/admin/keys", "/admin/grants", "/admin/people", "/admin/endpoints", "/admin/audit"}
    assert "/account/people" in paths
