"""`/account/keys`: a tenant's lead makes, sees, edits, rotates and revokes the tenant's keys, and is told what it does to itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.identity.networks import parse_networks
from gatehouse.principal import TENANT_SCOPES, Rate, Scope


@pytest.fixture(scope="module")
def lead(live: Live) -> str:
    """A key that may do all that a tenant's key can."""
    live.stage.tenant("acme", "iris")
    return live.stage.key("acme", name="lead", scopes=TENANT_SCOPES)


@pytest.fixture
def fresh(live: Live, lead: str) -> dict[str, Any]:
    """A key just made by the lead."""
    made: dict[str, Any] = ask(live, "POST", "", lead, {"name": "nightly"}, 201)
    return made


def send(live: Live, method: str, path: str, key: str, body: Any = None) -> httpx2.Response:
    given = {} if body is None else {"json": body}
    return live.client.request(method, f"/account/keys{path}", headers={"authorization": f"Bearer {key}"}, **given)


def ask(live: Live, method: str, path: str, key: str, body: Any = None, status: int = 200) -> Any:
    answer = send(live, method, path, key, body)
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(live: Live, key: str, path: str, body: Any, method: str = "POST") -> list[tuple[str, str]]:
    """Pointer and code of each error of a 422."""
    answer = problem(send(live, method, path, key, body), 422, "invalid_input")
    return [(error["pointer"], error["code"]) for error in answer["errors"]]


def works(live: Live, key: str) -> int:
    return live.predict(key, instances(IRIS_ROW)).status_code


def test_a_key_that_is_made_works_and_is_shown_this_once(live: Live, lead: str, fresh: dict[str, Any]) -> None:
    assert works(live, fresh["key"]) == 200
    assert (fresh["id"], fresh["name"], fresh["state"], fresh["notices"]) == (key_id(fresh["key"]), "nightly", "active", [])
    listed = ask(live, "GET", "", lead)
    shown = ask(live, "GET", f"/{fresh['id']}", lead)
    assert shown | {"last_used_at": None} == {name: fresh[name] for name in fresh if name not in ("key", "notices")}
    assert shown["id"] in [key["id"] for key in listed["keys"]]
    assert not listed["more"]
    assert fresh["key"].rpartition("_")[2] not in str(listed) + str(shown)


def test_a_key_takes_all_that_can_be_wished(live: Live, lead: str) -> None:
    ends = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    wish = {
        "name": "bound",
        "scopes": ["models:read", "account:read"],
        "expires_at": ends.isoformat(),
        "networks": ["127.0.0.0/8", "2001:db8::/32", "127.0.0.0/8"],
        "requests": {"count": 2, "period_s": 1, "burst": 5},
        "rows": {"count": 10, "period_s": 60, "burst": 10},
    }
    made = ask(live, "POST", "", lead, wish, 201)
    assert {name: made[name] for name in wish} == wish | {
        "scopes": ["account:read", "models:read"],
        "networks": ["127.0.0.0/8", "2001:db8::/32"],
        "expires_at": ends.isoformat().replace("+00:00", "Z"),
    }
    account = live.get("/account", made["key"]).json()
    assert account["key"]["requests"] == wish["requests"]
    assert works(live, made["key"]) == 403


def test_an_edit_changes_what_it_names_and_null_takes_away(live: Live, lead: str, fresh: dict[str, Any]) -> None:
    ends = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    first = ask(live, "PATCH", f"/{fresh['id']}", lead, {"expires_at": ends, "rows": {"count": 1, "period_s": 1, "burst": 3}})
    assert (first["name"], first["rows"]["burst"], first["notices"]) == ("nightly", 3, [])
    second = ask(live, "PATCH", f"/{fresh['id']}", lead, {"name": "weekly", "rows": None, "networks": ["192.0.2.0/24"]})
    assert (second["name"], second["rows"], second["expires_at"], second["networks"]) == (
        "weekly",
        None,
        first["expires_at"],
        ["192.0.2.0/24"],
    )
    wait_until(lambda: works(live, fresh["key"]) == 401)
    third = ask(live, "PATCH", f"/{fresh['id']}", lead, {"networks": None, "expires_at": None, "scopes": ["models:read"]})
    assert (third["networks"], third["expires_at"], third["scopes"]) == ([], None, ["models:read"])
    wait_until(lambda: works(live, fresh["key"]) == 403)


def test_both_secrets_work_until_the_grace_ends(live: Live, lead: str, fresh: dict[str, Any]) -> None:
    rotated = ask(live, "POST", f"/{fresh['id']}/rotate", lead)
    assert (rotated["id"], rotated["key"] == fresh["key"], rotated["created_at"]) == (fresh["id"], False, fresh["created_at"])
    left = datetime.fromisoformat(rotated["grace_ends_at"]) - datetime.fromisoformat(rotated["rotated_at"])
    assert left == timedelta(hours=24)
    assert [works(live, key) for key in (fresh["key"], rotated["key"])] == [200, 200]
    again = ask(live, "POST", f"/{fresh['id']}/rotate", lead, {"grace_s": 0})
    for dead in (fresh["key"], rotated["key"]):
        wait_until(lambda dead=dead: works(live, dead) == 401)  # type: ignore[misc]
    assert works(live, again["key"]) == 200


def test_a_revoked_key_stays_in_the_list_and_as_it_is(live: Live, lead: str, fresh: dict[str, Any]) -> None:
    revoked = ask(live, "DELETE", f"/{fresh['id']}", lead)
    assert (revoked["state"], revoked["notices"]) == ("revoked", [])
    assert wait_until(lambda: works(live, fresh["key"]) == 401) < 1.0
    assert ask(live, "DELETE", f"/{fresh['id']}", lead)["revoked_at"] == revoked["revoked_at"]
    for method, path, body in (("PATCH", "", {"name": "x"}), ("POST", "/rotate", {})):
        said = problem(send(live, method, f"/{fresh['id']}{path}", lead, body), 409, "key_conflict")["detail"]
        assert said.startswith("The key is revoked since")
    assert revoked["id"] in [key["id"] for key in ask(live, "GET", "", lead)["keys"]]


def test_an_expired_key_is_rotated_only_after_a_later_expiry(live: Live, lead: str) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=0.4)
    made = ask(live, "POST", "", lead, {"expires_at": ends.isoformat()}, 201)
    wait_until(lambda: ask(live, "GET", f"/{made['id']}", lead)["state"] == "expired")
    said = problem(send(live, "POST", f"/{made['id']}/rotate", lead), 409, "key_conflict")["detail"]
    assert said.startswith("The key has expired at")
    assert ask(live, "PATCH", f"/{made['id']}", lead, {"expires_at": None})["state"] == "active"
    assert works(live, ask(live, "POST", f"/{made['id']}/rotate", lead)["key"]) == 200


def test_what_was_seen_is_compared_where_it_is_sent(live: Live, lead: str, fresh: dict[str, Any]) -> None:
    path = f"/account/keys/{fresh['id']}"

    def change(method: str, more: str = "", body: Any = None, key: str = lead, **match: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key}"} | {name.replace("_", "-"): value for name, value in match.items()}
        return live.client.request(method, path + more, headers=headers, **({} if body is None else {"json": body}))

    seen = change("GET").headers["etag"]
    assert works(live, fresh["key"]) == 200  # its use is no change
    assert change("GET").headers["etag"] == seen
    edited = change("PATCH", body={"name": "weekly"}, if_match=seen)
    assert (edited.status_code, edited.headers["etag"]) == (200, change("GET").headers["etag"])
    for method, more, body in (("PATCH", "", {"name": "other"}), ("POST", "/rotate", None), ("DELETE", "", None)):
        problem(change(method, more, body, if_match=seen), 412, "precondition_failed")
    assert change("GET").json()["name"] == "weekly"
    assert change("PATCH", body={"name": "other"}).status_code == 200
    assert change("DELETE", if_match="*").json()["state"] == "revoked"
    live.stage.tenant("snoopy", "iris")
    stranger = live.stage.key("snoopy", scopes=TENANT_SCOPES)
    problem(change("DELETE", key=stranger, if_match=seen), 404, "not_found")


def test_a_key_is_told_what_it_does_to_itself(live: Live) -> None:
    own = live.stage.key("acme", scopes=TENANT_SCOPES)
    path = f"/{key_id(own)}"

    def told(method: str, more: str = "", body: Any = None, key: str = own) -> str:
        (notice,) = ask(live, method, path + more, key, body)["notices"]
        assert notice["code"] == "own_key"
        detail: str = notice["detail"]
        return detail

    assert "the new secret before the grace ends" in told("POST", "/rotate", {"grace_s": 3600})
    assert "refused from the address" in told("PATCH", "", {"networks": ["192.0.2.1"]})
    live.stage.edit(own, networks=())
    wait_until(lambda: works(live, own) == 200)
    assert ask(live, "PATCH", path, own, {"name": "self"})["notices"] == []
    ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert "cannot prolong itself" in told("PATCH", "", {"expires_at": ends})
    assert "cannot manage keys any more" in told("PATCH", "", {"scopes": ["models:read"]})
    leaving = live.stage.key("acme", scopes=TENANT_SCOPES)
    (notice,) = ask(live, "DELETE", f"/{key_id(leaving)}", leaving)["notices"]
    assert "refused from now on" in notice["detail"]
    wait_until(lambda: works(live, leaving) == 401)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], [("", "wrong_type")]),
        ({"name": "Not A Name"}, [("/name", "invalid")]),
        ({"name": "x" * 64}, [("/name", "invalid")]),
        ({"name": None}, [("/name", "invalid")]),
        ({"scopes": []}, [("/scopes", "invalid")]),
        ({"scopes": ["everything"]}, [("/scopes/0", "invalid")]),
        ({"scopes": "models:read"}, [("/scopes", "invalid")]),
        ({"expires_at": "2001-01-01T00:00:00Z"}, [("/expires_at", "refused")]),
        ({"expires_at": "2999-01-01T00:00:00"}, [("/expires_at", "invalid")]),
        ({"expires_at": "soon"}, [("/expires_at", "invalid")]),
        ({"expires_at": 4102444800}, [("/expires_at", "invalid")]),
        ({"expires_at": "4102444800"}, [("/expires_at", "invalid")]),
        ({"expires_at": "2099-02-30T00:00:00Z"}, [("/expires_at", "invalid")]),
        ({"expires_at": "9000-01-01T00:00:00Z"}, [("/expires_at", "refused")]),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, [("/expires_at", "refused")]),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, [("/expires_at", "refused")]),
        ({"networks": ["10.0.0.1/8"]}, [("/networks", "invalid")]),
        ({"networks": "10.0.0.0/8"}, [("/networks", "invalid")]),
        ({"networks": ["10.0.0.0/8"] * 21}, [("/networks", "invalid")]),
        ({"requests": {"count": 2, "period_s": 1}}, [("/requests/burst", "missing")]),
        ({"requests": {"count": 0, "period_s": 1, "burst": 1}}, [("/requests/count", "invalid")]),
        ({"requests": {"count": True, "period_s": 1, "burst": 1}}, [("/requests/count", "invalid")]),
        ({"requests": {"count": 10**8, "period_s": 1, "burst": 1}}, [("/requests", "refused")]),
        ({"rows": {"count": 1, "period_s": 1, "burst": 2**31 - 1}}, [("/rows", "refused")]),
        ({"mystery": 1, "name": 5}, [("/name", "invalid"), ("/mystery", "unknown_field")]),
    ],
)
def test_a_wish_that_cannot_be_is_422_with_a_pointer_and_without_what_was_sent(
    live: Live, lead: str, fresh: dict[str, Any], body: Any, errors: list[tuple[str, str]]
) -> None:
    assert sorted(refused(live, lead, "", body)) == sorted(errors)
    assert sorted(refused(live, lead, f"/{fresh['id']}", body, "PATCH")) == sorted(errors)


def test_an_edit_that_names_nothing_is_422(live: Live, lead: str, fresh: dict[str, Any]) -> None:
    assert refused(live, lead, f"/{fresh['id']}", {}, "PATCH") == [("", "missing")]


@pytest.mark.parametrize("grace", [-1, 30 * 86_400 + 1, 1.5, "24h", True, None])
def test_a_grace_that_cannot_be_is_422(live: Live, lead: str, fresh: dict[str, Any], grace: Any) -> None:
    assert refused(live, lead, f"/{fresh['id']}/rotate", {"grace_s": grace}) == [("/grace_s", "invalid")]


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b'{"name": "a", "name": "b"}', "application/json", 400, "invalid_json"),
        (b'{"rows": NaN}', "application/json", 400, "invalid_json"),
        (b'{"name": "a"} x', "application/json", 400, "invalid_json"),
        (b"{", "application/json", 400, "invalid_json"),
        (b"", "application/json", 400, "invalid_json"),
        (b'{"name": "\\ud800"}', "application/json", 400, "invalid_json"),
        (b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}", "application/json", 400, "invalid_json"),
        (b'{"name": "a"}', "text/plain", 415, "unsupported_media_type"),
        (b'{"name": "' + b"a" * 20_000 + b'"}', "application/json", 413, "body_too_large"),
    ],
)
def test_bodies_are_read_strictly(live: Live, lead: str, content: bytes, kind: str, status: int, code: str) -> None:
    headers = {"authorization": f"Bearer {lead}", "content-type": kind}
    problem(live.client.post("/account/keys", content=content, headers=headers), status, code)


def test_what_a_minter_does_not_say_is_bounded_as_the_minter_is(live: Live) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    bounds = {"requests": Rate(2, 1, 4), "rows": Rate(20, 1, 40), "networks": parse_networks(["127.0.0.0/8"]), "expires_at": ends}
    minter = live.stage.key("acme", scopes=TENANT_SCOPES, **bounds)
    made = ask(live, "POST", "", minter, {}, 201)
    assert made["requests"] == {"count": 2, "period_s": 1, "burst": 4}
    assert made["rows"] == {"count": 20, "period_s": 1, "burst": 40}
    assert (made["networks"], datetime.fromisoformat(made["expires_at"])) == (["127.0.0.0/8"], ends)


def test_a_tenant_cannot_pile_up_keys(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehouse.identity.keys.MOST_KEYS", 3)
    live.stage.tenant("piler", "iris")
    minter = live.stage.key("piler", scopes=TENANT_SCOPES)
    spare = ask(live, "POST", "", minter, {}, 201)
    problem(send(live, "POST", "", minter, {}), 409, "key_conflict")
    ask(live, "DELETE", f"/{spare['id']}", minter)
    ask(live, "POST", "", minter, {}, 201)


def test_the_answers_are_those_of_the_openapi_document(live: Live, lead: str) -> None:
    document = live.get("/openapi.json", lead).json()
    schemas = document["components"]["schemas"]

    def check(path: str, method: str, status: int, answer: Any) -> None:
        content = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
        schema = {**schemas[content["$ref"].rpartition("/")[2]], "components": document["components"]}
        assert schema["additionalProperties"] is False
        jsonschema_rs.validate(schema, answer)

    made = ask(live, "POST", "", lead, {"requests": {"count": 1, "period_s": 1, "burst": 1}}, 201)
    check("/account/keys", "post", 201, made)
    check("/account/keys", "get", 200, ask(live, "GET", "", lead))
    check("/account/keys/{key_id}", "get", 200, ask(live, "GET", f"/{made['id']}", lead))
    check("/account/keys/{key_id}", "patch", 200, ask(live, "PATCH", f"/{made['id']}", lead, {"name": "b"}))
    check("/account/keys/{key_id}/rotate", "post", 200, ask(live, "POST", f"/{made['id']}/rotate", lead))
    check("/account/keys/{key_id}", "delete", 200, ask(live, "DELETE", f"/{made['id']}", lead))
    body = document["paths"]["/account/keys"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema_rs.validate({**body, "components": document["components"]}, {"name": "a", "scopes": [Scope.MODELS_READ.value]})


@pytest.fixture
def narrow(stage: Stage) -> Iterator[Live]:
    with stage.serving(account_requests_per_minute="3") as running:
        yield running


def test_keys_are_throttled_as_the_account_is(narrow: Live) -> None:
    narrow.stage.tenant("acme", "iris")
    lead, other = (narrow.stage.key("acme", scopes=TENANT_SCOPES) for _ in range(2))
    assert [send(narrow, "POST", "", lead, {}).status_code for _ in range(4)] == [201, 201, 201, 429]
    assert int(send(narrow, "POST", "", lead, {}).headers["retry-after"]) > 0
    assert send(narrow, "POST", "", other, {}).status_code == 201
