"""`/admin/keys`: the keys of all tenants, and of the deployment itself no more than the caller has."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admin_calls import Admin
from stage import IRIS_ROW, Live, instances, key_id, wait_until

from gatehouse.identity.api_keys import checksum
from gatehouse.identity.networks import parse_networks
from gatehouse.principal import TENANT_SCOPES, Scope


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    live.stage.tenant("acme", "iris")
    return Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))


@pytest.fixture
def fresh(admin: Admin) -> dict[str, Any]:
    """A key of acme, as its making answered."""
    made: dict[str, Any] = admin.created("/keys", {"tenant": "acme", "name": "nightly"})
    return made


def called(admin: Admin, key: str) -> int:
    return admin.live.predict(key, instances(IRIS_ROW)).status_code


def test_a_key_of_a_tenant_is_made_shown_once_changed_rotated_and_revoked(admin: Admin, fresh: dict[str, Any]) -> None:
    path = f"/keys/{fresh['id']}"
    assert (fresh["tenant"], fresh["name"], key_id(fresh["key"])) == ("acme", "nightly", fresh["id"])
    assert called(admin, fresh["key"]) == 200
    shown = admin.get(path)
    assert shown | {"last_used_at": None} == {name: value for name, value in fresh.items() if name != "key"}
    assert admin.edited(path, {"name": "weekly", "scopes": sorted(TENANT_SCOPES)})["name"] == "weekly"
    rotated = admin.changed("POST", f"{path}/rotate", {"grace_s": 0}, of=path)
    wait_until(lambda: called(admin, fresh["key"]) == 401)
    assert called(admin, rotated["key"]) == 200
    assert admin.changed("DELETE", path)["state"] == "revoked"
    assert wait_until(lambda: called(admin, rotated["key"]) == 401) < 1.0
    admin.refused("PATCH", path, 409, "key_conflict", {"name": "other"})
    listed = next(key for key in admin.all("/keys?tenant=acme") if key["id"] == fresh["id"])
    assert (listed["name"], listed["revoked_at"] is None) == ("weekly", False)
    assert rotated["key"].rpartition("_")[2] not in str(listed)


def test_keys_are_narrowed_by_each_filter(admin: Admin) -> None:
    admin.created("/tenants", {"name": "filters", "models": ["iris"]})
    soon = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    made = [admin.created("/keys", {"tenant": "filters", "name": name}) for name in ("plain", "a_b", "axb")]
    ends = admin.created("/keys", {"tenant": "filters", "name": "ends", "expires_at": soon.isoformat()})
    admin.changed("DELETE", f"/keys/{made[0]['id']}")

    def named(query: str) -> list[str]:
        return [key["name"] for key in admin.all(f"/keys?tenant=filters&{query}", limit=2)]

    assert named("") == ["ends", "axb", "a_b", "plain"], "the newest first"
    assert (named("revoked=true"), named("revoked=false&name_prefix=a_")) == (["plain"], ["a_b"])
    assert named(f"expires_before={(soon + timedelta(seconds=1)).strftime('%Y-%m-%dT%H:%M:%SZ')}") == ["ends"]
    assert named(f"expires_before={soon.strftime('%Y-%m-%dT%H:%M:%SZ')}") == []
    assert (named("pepper=1"), named("pepper=2")) == (["ends", "axb", "a_b"], [])
    assert [key["id"] for key in admin.all(f"/keys?tenant={tenant_id(admin)}&name_prefix=ends")] == [ends["id"]]
    assert admin.all("/keys?tenant=nobody") == []


def tenant_id(admin: Admin) -> str:
    found: str = admin.get("/tenants/filters")["id"]
    return found


def test_row_47_a_key_of_the_deployment_is_no_wider_than_its_caller(admin: Admin) -> None:
    stage, both = admin.live.stage, {Scope.ADMIN_READ, Scope.ADMIN_WRITE}
    narrow = Admin(admin.live, stage.key("_operator", scopes=both))
    wide = key_id(stage.key("_operator", scopes=frozenset(Scope)))
    for asked in ({"scopes": ["metrics:read"]}, {"scopes": ["admin:read", "predictions:create"]}, {}):
        problem = narrow.refused("POST", "/keys", 403, "beyond_own_key", {"tenant": "_operator", **asked})
        assert problem["member"] == "scopes"
    own = narrow.created("/keys", {"tenant": "_operator", "scopes": ["admin:read"]})
    narrow.refused("PATCH", f"/keys/{own['id']}", 403, "beyond_own_key", {"scopes": ["admin:read", "metrics:read"]})
    narrow.refused("PATCH", f"/keys/{wide}", 403, "beyond_own_key", {"scopes": ["admin:read"]})
    narrow.refused("POST", f"/keys/{wide}/rotate", 403, "beyond_own_key", if_match="*")
    assert set(narrow.created("/keys", {"tenant": "acme", "scopes": sorted(TENANT_SCOPES)})["scopes"]) == TENANT_SCOPES
    ends = datetime.now(UTC) + timedelta(days=1)
    bound = Admin(admin.live, stage.key("_operator", scopes=both, expires_at=ends, networks=parse_networks(["127.0.0.0/8"])))
    for asked, member in (({}, "networks"), ({"networks": ["127.0.0.1"]}, "expires_at")):
        wish = {"tenant": "_operator", "scopes": ["admin:read"], **asked}
        assert bound.refused("POST", "/keys", 403, "beyond_own_key", wish)["member"] == member
    assert narrow.changed("DELETE", f"/keys/{wide}")["state"] == "revoked", "to stop one needs no more than admin:write"


def test_a_leaked_key_is_known_by_its_secret_and_revoked(admin: Admin, fresh: dict[str, Any]) -> None:
    whole, other = fresh["key"], admin.created("/keys", {"tenant": "acme"})["key"]
    made_up = forged(whole, other)
    found = admin.send("POST", "/keys/identify", {"key": whole}).json()
    assert (found["id"], found["secret"], "key" in found) == (fresh["id"], "current", False)
    assert admin.send("POST", "/keys/identify", {"key": made_up}).json()["secret"] == "wrong"
    for wrong in (made_up, whole[:-1], "x"):
        answer = admin.refused("POST", "/keys/revoke-leaked", 422, "invalid_input", {"key": wrong})
        assert (answer["errors"][0]["pointer"], whole in str(answer)) == ("/key", False)
    assert called(admin, whole) == 200
    assert admin.send("POST", "/keys/revoke-leaked", {"key": whole}).json()["state"] == "revoked"
    assert wait_until(lambda: called(admin, whole) == 401) < 1.0


def forged(key: str, other: str) -> str:
    """A key of the id of one and the secret of another, whole by its checksum."""
    body = f"{key.rpartition('_')[0]}_{other.rpartition('_')[2][:-6]}"
    return body + checksum(body)


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"tenant": "nobody"}, 422, "invalid_input", "/tenant"),
        ({"tenant": "acme", "scopes": ["admin:read"]}, 422, "invalid_input", "/scopes"),
        ({"tenant": "acme", "expires_at": "2001-01-01T00:00:00Z"}, 422, "invalid_input", "/expires_at"),
        ({"tenant": "acme", "networks": ["10.0.0.1/8"]}, 422, "invalid_input", "/networks"),
        ({"tenant": "acme", "requests": {"count": 900_000, "period_s": 1, "burst": 1}}, 422, "invalid_input", "/requests"),
        ({"tenant": "acme", "plan": "wide"}, 422, "invalid_input", "/plan"),
        ({"tenant": "acme", "pepper": 1}, 422, "invalid_input", "/pepper"),
        ({}, 422, "invalid_input", "/tenant"),
    ],
)
def test_row_44_what_no_key_can_be_is_named(admin: Admin, body: Any, status: int, code: str, pointer: str) -> None:
    answer = admin.refused("POST", "/keys", status, code, body)
    assert pointer in [error["pointer"] for error in answer["errors"]]
    assert "gatehouse " not in str(answer["errors"])
