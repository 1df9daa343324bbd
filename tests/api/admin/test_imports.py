"""Files of tenants and keys: all lines are made or none, and each that is wrong is named by line and column."""

import json
from typing import Any

import pytest
from admin_calls import Admin
from secrecy import remember
from stage import IRIS_ROW, Live, instances, problem

from gatehouse.principal import Scope


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    live.stage.tenant("acme", "iris")
    return Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))


def imported(admin: Admin, path: str, source: str, status: int = 201) -> dict[str, Any]:
    answer = admin.send("POST", path, source.encode())
    assert answer.status_code == status, answer.text
    made: dict[str, Any] = answer.json()
    for item in made["items"]:
        remember(item.get("key", ""))
    return made


def faults(admin: Admin, path: str, source: str | bytes) -> list[tuple[int, str]]:
    """Line and column of each, in an answer that repeats nothing that was sent."""
    answer = problem(admin.send("POST", path, source if isinstance(source, bytes) else source.encode()), 422, "invalid_input")
    assert "Nothing was changed" in answer["detail"]
    assert "canary" not in json.dumps(answer)
    return [(error["line"], error["column"]) for error in answer["errors"]]


def test_tenants_of_a_file_are_made_together_and_can_be_called_by_keys_of_another(admin: Admin) -> None:
    made = imported(admin, "/tenants/import", '\ufeffplan,name,models\r\nstandard,alder,iris line\r\n,birch,\r\n"trial","cedar","iris"\r\n')
    assert (made["dry_run"], made["lines"]) == (False, 3)
    assert [(each["name"], each["plan"], each["default_model"]) for each in made["items"]] == [
        ("alder", "standard", "iris"),
        ("birch", "trial", None),
        ("cedar", "trial", "iris"),
    ]
    for each in made["items"]:
        assert admin.get(f"/tenants/{each['name']}") == each == admin.get(f"/tenants/{each['id']}")
    alder = made["items"][0]["id"]
    keys = imported(admin, "/keys/import", f"tenant,name,scopes\nalder,nightly,\n{alder},reports,models:read usage:read\ncedar,,\n")
    assert [(each["tenant"], each["name"]) for each in keys["items"]] == [("alder", "nightly"), ("alder", "reports"), ("cedar", "default")]
    assert [admin.live.predict(each["key"], instances(IRIS_ROW)).status_code for each in keys["items"]] == [200, 403, 200]
    assert admin.get(f"/keys/{keys['items'][1]['id']}")["scopes"] == ["models:read", "usage:read"]


def test_a_dry_run_says_what_could_be_made_and_makes_nothing(admin: Admin) -> None:
    path = "/tenants/import?dry_run=true"
    assert imported(admin, path, "name\ndogwood\n", 200) == {"dry_run": True, "lines": 1, "items": []}
    admin.refused("GET", "/tenants/dogwood", 404, "not_found")
    assert faults(admin, path, "name\ndogwood\nacme\n") == [(3, "name")]
    before = admin.all("/keys?tenant=acme")
    assert imported(admin, "/keys/import?dry_run=true", "tenant\nacme\n", 200)["lines"] == 1
    assert admin.all("/keys?tenant=acme") == before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", [(1, "")]),
        ("\ufeff\r\n", [(1, "")]),
        ("name\n", [(1, "")]),
        ("title\ncanary\n", [(1, "")]),
        ("name,plan,canary\na,b,c\n", [(1, "")]),
        ("name,name\na,b\n", [(1, "")]),
        ("name;plan\na;b\n", [(1, "")]),
        ("name,plan\nelm,trial\ncanary\nfir,trial,iris\n\nash,trial\n", [(3, ""), (4, ""), (5, "")]),
        ("name\nelm\nca\x00nary\n", [(3, "")]),
        (b"name\nelm\ncan\xffary\n", [(3, "")]),
        (b"PK\x03\x04canary", [(1, "")]),
        ("name\nelm\nfir\nelm\n", [(4, "name")]),
        ("name\nelm\nacme\n_operator\n", [(4, "name")]),
        ("name\nelm\nacme\n", [(3, "name")]),
        ("name,plan,models\nelm,canary,iris\nfir,trial,iris canary\n", [(2, "plan"), (3, "models")]),
        ("name\n=cmd|' /C canary'!A0\n@canary\n-canary\n+1\nCanary\n" + "x" * 64 + "\n", [(line, "name") for line in range(2, 8)]),
        ('name\n"canary\n', [(2, "")]),
        ('name\n"multi\nline",\nelm\n', [(2, "")]),
    ],
)
def test_a_file_with_a_wrong_line_changes_nothing_and_names_each(
    admin: Admin, source: str | bytes, expected: list[tuple[int, str]]
) -> None:
    before = admin.all("/tenants")
    assert faults(admin, "/tenants/import", source) == expected
    assert admin.all("/tenants") == before


def test_lines_of_keys_are_held_to_what_keys_can_be(admin: Admin) -> None:
    before = admin.all("/keys")
    source = (
        "tenant,name,scopes,expires_at,networks\n"
        "acme,ok,,2090-06-30,10.0.0.0/8 192.0.2.7\n"
        "acme,Canary,,,\n"
        "acme,a,canary:read,,\n"
        "acme,a,,2001-01-01,\n"
        "acme,a,,2090-02-30,\n"
        "acme,a,,,10.0.0.1/8\n"
    )
    assert faults(admin, "/keys/import", source) == [(3, "name"), (4, "scopes"), (5, "expires_at"), (6, "expires_at"), (7, "networks")]
    assert faults(admin, "/keys/import", "tenant,scopes\ncanary,\nacme,admin:read\nacme,\n") == [(2, "tenant"), (3, "scopes")]
    assert admin.all("/keys") == before


def test_row_47_a_file_makes_no_key_of_the_deployment_that_is_wider_than_its_caller(admin: Admin) -> None:
    narrow = Admin(admin.live, admin.live.stage.key("_operator", scopes={Scope.ADMIN_READ, Scope.ADMIN_WRITE}))
    before = admin.all("/keys")
    for query in ("", "?dry_run=true"):
        source = b"tenant,scopes\nacme,\n_operator,admin:read metrics:read\n"
        problem(narrow.send("POST", f"/keys/import{query}", source), 403, "beyond_own_key")
    assert admin.all("/keys") == before
    assert imported(narrow, "/keys/import", "tenant,scopes\n_operator,admin:read\n")["items"][0]["tenant"] == "_operator"


def test_of_many_faults_the_first_are_listed_and_all_are_counted(admin: Admin) -> None:
    source = "name\n" + "Canary\n" * 250
    answer = problem(admin.send("POST", "/tenants/import", source.encode()), 422, "invalid_input")
    assert len(answer["errors"]) == 100
    assert "Faults of the file: 250, of which the first 100 are listed" in answer["detail"]


def test_a_file_has_its_own_bounds(admin: Admin) -> None:
    lines = "name\n" + "".join(f"many-{number}\n" for number in range(10_001))
    assert faults(admin, "/tenants/import", lines) == [(10_002, "")]
    models = " ".join(f"m{number}" for number in range(100))
    many = "name,models\n" + "".join(f"many-{number},{models}\n" for number in range(501))
    assert faults(admin, "/tenants/import", many) == [(502, "models")]
    problem(admin.send("POST", "/tenants/import", b"x" * (4 * 1024 * 1024 + 1)), 413, "body_too_large")
    for kind in ("application/json", "text/csv; charset=utf-16", "text/plain"):
        problem(admin.send("POST", "/tenants/import", b"name\nx\n", content_type=kind), 415, "unsupported_media_type")
    reader = Admin(admin.live, admin.live.stage.key("_operator", scopes={Scope.ADMIN_READ}))
    problem(reader.send("POST", "/tenants/import", b"name\nx\n"), 403, "scope_missing")
    answer = problem(admin.send("POST", "/tenants/import?plan=wide", b"name\nx\n"), 422, "invalid_input")
    assert answer["errors"][0]["parameter"] == "plan"
