"""What `/admin` answers to cursors of elsewhere, limits that are none, ids of all kinds and bodies that set what nobody may set."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest
from admin_calls import Admin
from stage import Live, problem

from gatehouse.principal import Scope

LISTS = ("/tenants", "/plans", "/keys", "/grants")
ODD_IDS = (
    "nobody",
    "ten_0123456789abcdef",
    "0123456789ABCDEF",
    "x" * 64,
    "x" * 1500,
    "a%00b",
    "%2e%2e",
    "..%2fplans",
    "a%20b",
    "%ff",
    "Ünicode",
    "*",
    "'",
    "%25",
)
CHANGES = [
    ("PATCH", "/tenants/{}", {"plan": "trial"}),
    ("POST", "/tenants/{}/suspend", None),
    ("PATCH", "/plans/{}", {"quota": "hard"}),
    ("PATCH", "/keys/{}", {"name": "x"}),
    ("POST", "/keys/{}/rotate", {}),
    ("DELETE", "/keys/{}", None),
    ("DELETE", "/grants/{}/iris/all", None),
    ("DELETE", "/grants/world/{}/all", None),
    ("DELETE", "/grants/world/iris/{}", None),
]


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    made = Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))
    for name in ("world", "other", "third"):
        live.stage.tenant(name, "iris", "line")
    made.created("/plans", {"name": "gold"})
    return made


def refused_parameters(admin: Admin, path: str) -> list[str]:
    answer = problem(admin.send("GET", path), 422, "invalid_input")
    return [error["parameter"] for error in answer["errors"]]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_comes_whole_page_by_page_while_others_write(admin: Admin, path: str) -> None:
    first = admin.get(f"{path}?limit=2")
    assert len(first["items"]) == 2
    everything = admin.all(path)
    assert admin.all(path, limit=2) == everything
    assert len({json.dumps(item) for item in everything}) == len(everything) >= 4


def test_a_page_goes_on_behind_what_went_away(admin: Admin) -> None:
    for name in ("zone-a", "zone-b", "zone-c", "zone-d"):
        admin.created("/tenants", {"name": name, "models": ["iris"]})
    first = admin.get("/grants?model=iris&limit=1&tenant=zone-a")
    assert first["next"] is None, "no cursor where nothing follows"
    page = admin.get("/tenants?name_prefix=zone&limit=2&model=iris")
    admin.changed("DELETE", "/grants/zone-b/iris/all")  # the last item seen
    admin.created("/tenants", {"name": "zone-ab", "models": ["iris"]})  # before it
    rest = admin.get(f"/tenants?name_prefix=zone&limit=2&model=iris&cursor={page['next']}")
    assert [tenant["name"] for tenant in rest["items"]] == ["zone-c", "zone-d"]


def test_a_cursor_leads_on_in_its_own_list_alone(admin: Admin) -> None:
    cursor = admin.get("/tenants?limit=1&plan=wide")["next"]
    assert admin.get(f"/tenants?limit=2&plan=wide&cursor={cursor}")["items"]
    elsewhere = [f"{path}?cursor={cursor}" for path in LISTS] + [f"/tenants?plan=trial&cursor={cursor}"]
    last = "A" if cursor[-1] != "A" else "B"
    broken = [f"/tenants?plan=wide&cursor={text}" for text in (cursor[:-1], cursor[:-2] + last + last, "A", "e30", cursor + "AAAA")]
    for path in elsewhere + broken:
        assert refused_parameters(admin, path) == ["cursor"], path


@pytest.mark.parametrize("steps", [["\x00"], ["a", "b"], [7], [None], [], {}, "text", ["\ud800"], [[["a"]]], ["x" * 500]])
@pytest.mark.parametrize("path", [*LISTS, "/audit"])
def test_whoever_computes_the_checksum_gets_no_further(admin: Admin, path: str, steps: Any) -> None:
    filters = admin.get(f"{path}?limit=1")["next"]
    assert filters is not None
    bound = {
        "/tenants": ["plan", "suspended", "name_prefix", "model"],
        "/plans": [],
        "/grants": ["tenant", "model"],
        "/audit": ["actor", "source", "action", "subject", "request_id", "since", "until"],
    }
    names = bound.get(path, ["tenant", "revoked", "expires_before", "name_prefix", "pepper"])
    beyond = [["9" * 30], ["0"]] if path == "/audit" else []
    for place in (steps, *beyond, ["99999999999999999999", "a"], ["1", "2", "\x00"]):
        text = json.dumps(place, separators=(",", ":")).encode()
        head = json.dumps([path[1:], dict.fromkeys(names)], sort_keys=True, separators=(",", ":")).encode()
        forged = urlsafe_b64encode(sha256(head + b"\n" + text).digest()[:12] + text).decode().rstrip("=")
        own = urlsafe_b64decode(filters + "=" * (-len(filters) % 4))
        assert sha256(head + b"\n" + own[12:]).digest()[:12] == own[:12], "the test knows how"
        assert refused_parameters(admin, f"{path}?cursor={forged}") == ["cursor"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=99999999999999999999",
        "limit=x",
        "limit=",
        "limit=1.5",
        "cursor=",
        "cursor=%00",
        "offset=5",
    ],
)
def test_what_is_no_page_is_named(admin: Admin, path: str, query: str) -> None:
    assert refused_parameters(admin, f"{path}?{query}") == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "query",
    [
        "/tenants?name_prefix=%25",
        "/tenants?name_prefix=a%00",
        "/tenants?name_prefix=" + "x" * 64,
        "/tenants?plan=%27",
        "/tenants?suspended=perhaps",
        "/tenants?model=Iris",
        "/tenants?nobody=1",
        "/keys?tenant=%ff",
        "/keys?expires_before=2027-01-01",
        "/keys?expires_before=0001-01-01T00:00:00%2B23:00",
        "/keys?expires_before=9999-12-31T23:59:59-23:00",
        "/keys?expires_before=2027-02-30T00:00:00Z",
        "/keys?pepper=0",
        "/keys?pepper=99999999999999",
        "/grants?model=%25",
        "/grants?tenant=%F0%9F%92%A9",
    ],
)
def test_what_no_filter_can_be_is_named(admin: Admin, query: str) -> None:
    assert refused_parameters(admin, query) == [query.partition("?")[2].partition("=")[0]]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_id_that_leads_nowhere_is_404_whatever_it_is(admin: Admin, odd: str) -> None:
    bodies = set()
    paths = ("/tenants/{}", "/plans/{}", "/keys/{}", "/grants/{}/iris/all", "/grants/world/{}/all", "/grants/world/iris/{}")
    for method, path, body in [*(("GET", path, None) for path in paths), *CHANGES]:
        answer = problem(admin.send(method, path.format(odd), body, if_match="*"), 404, "not_found")
        bodies.add(json.dumps(answer | {"request_id": None}))
    assert len(bodies) == 1, "one body for all"


@pytest.mark.parametrize("path", ["/tenants", "/plans", "/keys", "/grants"])
def test_bodies_that_are_no_bodies_are_refused(admin: Admin, path: str) -> None:
    def sent(content: bytes, kind: str = "application/json") -> tuple[int, str]:
        headers = {"authorization": f"Bearer {admin.key}", "content-type": kind}
        answer = admin.live.client.post(f"/admin{path}", content=content, headers=headers)
        return answer.status_code, answer.json()["code"]

    assert sent(b"[]") == (422, "invalid_input")
    assert sent(b'{"name": "\\ud800"}') == (400, "invalid_json")
    assert sent(b'{"name": "a", "name": "b"}') == (400, "invalid_json")
    assert sent(b'{"name": NaN}') == (400, "invalid_json")
    assert sent(b"\xff") == (400, "invalid_json")
    assert sent(b'{"name": "' + b"x" * 1024 * 1024 + b'"}') == (413, "body_too_large")
    assert sent(b"{}", "text/plain") == (415, "unsupported_media_type")


MASS = {"id": "x", "tenant_id": "x", "scopes": [], "plan": "wide", "role": "operator", "digest": "x", "revoked_at": None, "created_at": "x"}


@pytest.mark.parametrize(
    ("method", "path", "body", "own"),
    [
        ("POST", "/tenants", {"name": "mass"}, {"plan"}),
        ("PATCH", "/tenants/world", {"default_model": "line"}, {"plan"}),
        ("POST", "/plans", {"name": "mass"}, set()),
        ("PATCH", "/plans/gold", {"quota": "hard"}, set()),
        ("POST", "/keys", {"tenant": "world"}, {"scopes"}),
        ("PATCH", "/keys/{key}", {"name": "x"}, {"scopes"}),
        ("POST", "/keys/{key}/rotate", {"grace_s": 1}, set()),
        ("POST", "/keys/identify", {"key": "x"}, set()),
        ("POST", "/keys/revoke-leaked", {"key": "x"}, set()),
        ("POST", "/grants", {"tenant": "world", "model": "iris"}, set()),
    ],
)
def test_row_44_what_a_caller_may_not_set_is_refused(admin: Admin, method: str, path: str, body: Any, own: set[str]) -> None:
    path = path.format(key=admin.all("/keys?tenant=world")[0]["id"])
    for member, value in MASS.items():
        if member not in own:
            answer = problem(admin.send(method, path, body | {member: value}, if_match="*"), 422, "invalid_input")
            assert {"pointer": f"/{member}", "code": "unknown_field"}.items() <= answer["errors"][0].items(), member
