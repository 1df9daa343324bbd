"""`/admin/endpoints`: what `gatehouse endpoints` does, over HTTP."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from admin_calls import Admin
from line_versions import GROWN, TOML, publish_line
from past_calls import call, insert_calls
from sqlmodel import select
from stage import Live, Stage, key_id, problem

from gatehouse.db.tables import AuditTable, NoticeTable
from gatehouse.identity.store import find_tenant
from gatehouse.principal import Scope

pytestmark = pytest.mark.endpoints("iris v1", "iris v2", "line v1")
V1, V2, LINE = "/endpoints/iris/v1", "/endpoints/iris/v2", "/endpoints/line/v1"
TODAY = datetime.now(UTC).date()
SUNSET, LONGER = TODAY + timedelta(days=60), TODAY + timedelta(days=90)
END = {"sunset": str(SUNSET), "successor": "v2"}


@pytest.fixture
def admin(live: Live) -> Admin:
    return operator(live)


@pytest.fixture
def ending(admin: Admin) -> Iterator[Admin]:
    """iris v1 is deprecated, and goes on afterwards."""
    admin.changed("POST", f"{V1}/deprecate", END, of=V1)
    yield admin
    admin.changed("POST", f"{V1}/undeprecate", of=V1)


@pytest.fixture(scope="module")
def line_versions(published: Path, module_stage: Stage) -> None:
    """Of line v1: 1.1.0 and 1.3.0 with the contract of 1.0.0, 1.2.0 with one that grew."""
    for offset, toml in ((1, TOML), (2, GROWN), (3, TOML)):
        publish_line(published, module_stage, offset, toml)


def operator(live: Live) -> Admin:
    return Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))


def audited(stage: Stage, action: str) -> list[str]:
    """Who did this, of all times."""
    with stage.database.read() as session:
        return [row.actor for row in session.exec(select(AuditTable)) if row.action == action]


def told(stage: Stage, tenant: str) -> list[str]:
    """Kinds of the notices that a tenant gets."""
    with stage.database.read() as session:
        owner = find_tenant(session, tenant)
        assert owner is not None
        return [row.kind for row in session.exec(select(NoticeTable)) if row.tenant_id == owner.id]


def test_endpoints_are_listed_page_by_page_and_narrowed(admin: Admin) -> None:
    names = [(each["model"], each["api_version"]) for each in admin.all("/endpoints", limit=1)]
    assert names == [("iris", "v1"), ("iris", "v2"), ("line", "v1")]
    assert [each["api_version"] for each in admin.all("/endpoints?model=iris", limit=1)] == ["v1", "v2"]
    assert admin.all("/endpoints?state=retired") == []
    first = admin.get("/endpoints?limit=1")
    foreign = admin.refused("GET", f"/endpoints?model=iris&limit=1&cursor={first['next']}", 422, "invalid_input")
    assert [error["parameter"] for error in foreign["errors"]] == ["cursor"]
    assert first["items"][0] == admin.get(V1)


def test_an_endpoint_is_shown_by_a_fixed_list_of_members(admin: Admin) -> None:
    shown = admin.get(LINE)
    assert shown == {
        "model": "line",
        "api_version": "v1",
        "state": "active",
        "stable_version": "1.0.0",
        "previous_version": None,
        "canary_version": None,
        "canary_percent": None,
        "bridged_to": None,
        "shadow": None,
        "deprecated_at": None,
        "sunset": None,
        "successor": None,
        "reason": None,
        "link": None,
        "retired_at": None,
        "extensions": [],
        "brownouts": [],
    }


@pytest.mark.usefixtures("line_versions")
def test_a_canary_is_released_promoted_and_rolled_back(admin: Admin) -> None:
    canary = admin.changed("POST", f"{LINE}/release", {"version": "1.1.0", "canary": 10}, of=LINE)
    assert (canary["stable_version"], canary["canary_version"], canary["canary_percent"]) == ("1.0.0", "1.1.0", 10)
    promoted = admin.changed("POST", f"{LINE}/promote", of=LINE)
    assert (promoted["stable_version"], promoted["previous_version"], promoted["canary_version"]) == ("1.1.0", "1.0.0", None)
    back = admin.changed("POST", f"{LINE}/rollback", of=LINE)
    assert (back["stable_version"], back["previous_version"]) == ("1.0.0", None)
    none = admin.refused("POST", f"{LINE}/promote", 409, "conflict", if_match="*")
    assert none["detail"] == "line/v1 has no canary to promote."
    actor = f"key:{key_id(admin.key)}"
    assert [audited(admin.live.stage, f"endpoint.{action}")[-1] for action in ("release", "promote", "rollback")] == [actor] * 3


@pytest.mark.usefixtures("line_versions")
def test_what_callers_would_lose_is_named_and_can_be_forced(admin: Admin) -> None:
    admin.changed("POST", f"{LINE}/release", {"version": "1.2.0"}, of=LINE)
    lost = admin.refused("POST", f"{LINE}/rollback", 409, "conflict", if_match="*")["detail"]
    assert re.fullmatch(
        r"Callers of line/v1 would lose what the contract of 1\.2\.0 gives them now: .*weight.*\. With force it is released all the same\.",
        lost,
    )
    admin.changed("POST", f"{LINE}/rollback", {"force": True}, of=LINE)
    assert admin.get(LINE)["stable_version"] == "1.0.0"


def test_a_version_that_is_not_here_is_refused_by_its_member(admin: Admin) -> None:
    for version, said in (("1.9.9", "no version of this number"), ("2.0.0", "no version of this number")):
        answer = admin.refused("POST", f"{LINE}/release", 422, "invalid_input", {"version": version}, if_match="*")
        assert [error["pointer"] for error in answer["errors"]] == ["/version"]
        assert said in answer["errors"][0]["detail"]
    wrong = admin.refused("POST", f"{V1}/release", 422, "invalid_input", {"version": "2.0.0"}, if_match="*")
    assert wrong["errors"][0]["detail"] == "model version 2.0.0 serves iris/v2, never iris/v1"


def test_a_version_that_was_tampered_with_is_refused_without_a_path_or_a_digest(admin: Admin, published: Path) -> None:
    folder = publish_line(published, admin.live.stage, 8)
    (folder / "model.onnx").write_bytes(b"other")
    answer = admin.refused("POST", f"{LINE}/release", 422, "invalid_input", {"version": "1.8.0"}, if_match="*")
    assert answer["errors"] == [
        {"pointer": "/version", "code": "refused", "detail": "line 1.8.0 cannot be verified here, so no server would load it"}
    ]
    (folder / "manifest.sig").write_bytes(b"{}")
    answer = admin.refused("POST", f"{LINE}/release", 422, "invalid_input", {"version": "1.8.0"}, if_match="*")
    assert str(admin.live.stage.state_dir) not in str(answer)
    assert admin.get(LINE)["stable_version"] == "1.0.0"


def test_of_two_operators_who_change_the_same_endpoint_one_is_told(admin: Admin) -> None:
    problem(admin.send("POST", f"{V1}/deprecate", END), 428, "precondition_required")
    first, second = admin.tag(V1), admin.tag(V2)
    admin.changed("POST", f"{V1}/deprecate", END, of=V1)
    problem(admin.send("POST", f"{V1}/retire", {"force": True}, if_match=first), 412, "precondition_failed")
    assert admin.get(V1)["state"] == "deprecated"
    assert admin.tag(V2) == second
    admin.changed("POST", f"{V1}/undeprecate", of=V1)


def test_the_first_version_of_a_major_opens_its_endpoint(admin: Admin, published: Path) -> None:
    publish_line(published, admin.live.stage, 0, TOML.replace('"v1"', '"v3"'), major=3)
    release, body = "/endpoints/line/v3/release", {"version": "3.0.0"}
    problem(admin.send("POST", release, body, if_match="*"), 412, "precondition_failed")
    made = admin.send("POST", release, body)
    assert (made.status_code, made.headers["location"]) == (201, "/admin/endpoints/line/v3")
    assert (made.json()["state"], made.headers["etag"]) == ("preview", admin.tag("/endpoints/line/v3"))
    problem(admin.send("POST", release, body), 428, "precondition_required")
    assert admin.changed("POST", "/endpoints/line/v3/activate", of="/endpoints/line/v3")["state"] == "active"
    admin.refused("POST", "/endpoints/line/v4/release", 404, "not_found", {"version": "1.0.0"}, x="")


def test_an_end_is_announced_extended_for_a_tenant_and_taken_back(ending: Admin) -> None:
    stage = ending.live.stage
    stage.tenant("extended", "iris")
    shown = ending.get(V1)
    assert (shown["state"], shown["sunset"], shown["successor"]) == ("deprecated", str(SUNSET), "v2")
    id = ending.get("/tenants/extended")["id"]
    longer = ending.changed("POST", f"{V1}/extensions", {"tenant": id, "until": str(LONGER)}, of=V1)
    assert longer["extensions"] == [{"tenant": "extended", "tenant_id": id, "until": str(LONGER)}]
    assert ending.changed("DELETE", f"{V1}/extensions/extended", of=V1)["extensions"] == []
    ending.refused("DELETE", f"{V1}/extensions/extended", 404, "not_found")
    ending.refused("DELETE", f"{V1}/extensions/nobody", 404, "not_found")
    assert told(stage, "extended") == ["endpoint.extended", "endpoint.sunset_changed"]
    stage.tenant("elsewhere", "line")
    wish = {"tenant": "elsewhere", "until": str(LONGER)}
    answer = ending.refused("POST", f"{V1}/extensions", 422, "invalid_input", wish, if_match="*")
    assert answer["errors"] == [{"pointer": "/tenant", "code": "refused", "detail": "elsewhere may not call iris/v1 at all"}]


def test_an_endpoint_in_use_is_retired_by_force_alone(ending: Admin) -> None:
    stage = ending.live.stage
    stage.tenant("user", "iris")
    insert_calls(stage.database, call(datetime.now(UTC), ending.get("/tenants/user")["id"], timedelta(0)))
    used = ending.refused("POST", f"{V1}/retire", 409, "conflict", if_match="*")["detail"]
    assert used.startswith("iris/v1 is still in use: user: 1 call in the last 7 days")
    assert used.endswith(" With force it is retired all the same.")
    assert ending.changed("POST", f"{V1}/retire", {"force": True}, of=V1)["state"] == "retired"


def test_a_brownout_is_planned_shown_and_taken_back(ending: Admin) -> None:
    stage, path = ending.live.stage, f"{V1}/brownouts"
    stage.tenant("browned", "iris")
    starts_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=25)
    wish = {"starts_at": starts_at.isoformat(), "minutes": 10, "tenant": "browned", "share": 50}
    made = ending.created(path, wish)
    window = {name: made[name] for name in ("id", "starts_at", "ends_at", "share", "tenant", "rehearsed_by_key")}
    assert (made["told"], made["told_by_webhook"], window["share"], window["tenant"]) == (1, 0, 50, "browned")
    assert ending.get(path) == {"items": [window]}
    assert ending.get(f"{path}/{made['id']}") == window
    assert [each["id"] for each in ending.get(V1)["brownouts"]] == [made["id"]]
    soon = ending.refused("POST", path, 422, "invalid_input", {"minutes": 5})
    assert soon["errors"][0] == {
        "pointer": "/starts_at",
        "code": "refused",
        "detail": "callers are told 24 hours before a brownout; for one that begins sooner, send force",
    }
    overlap = ending.refused("POST", path, 409, "conflict", wish | {"tenant": None})
    assert overlap["detail"].startswith(f"It would overlap {made['id']} (")
    assert ending.changed("DELETE", f"{path}/{made['id']}")["id"] == made["id"]
    ending.refused("DELETE", f"{path}/{made['id']}", 404, "not_found")
    assert told(stage, "browned") == ["endpoint.brownout", "endpoint.brownout_cancelled"]


def test_a_bridge_stands_on_a_proof_and_is_taken_back(admin: Admin) -> None:
    bridged = admin.changed("POST", f"{V1}/bridge", {"to": "v2"}, of=V1)
    proof = bridged["proof"]
    assert (bridged["bridged_to"], proof["old"], proof["new"], proof["gaps"]) == ("v2", "iris 1.0.0", "iris 2.0.0", [])
    assert proof["rows"] > 100
    own = admin.refused("POST", f"{V1}/release", 409, "conflict", {"version": "1.0.0"}, if_match="*")
    assert own["detail"] == "iris/v1 is bridged to v2 and serves no version of its own."
    leads = admin.refused("POST", f"{V2}/retire", 409, "conflict", {"force": True}, if_match="*")
    assert leads["detail"] == "iris/v1 is bridged to iris/v2, whose model answers its calls."
    assert admin.changed("POST", f"{V1}/unbridge", of=V1)["bridged_to"] is None
    backwards = "iris/v1 is no later version than iris/v1; a bridge leads to a later one"
    for to, said in (("v9", "there is no such endpoint"), ("v1", backwards)):
        answer = admin.refused("POST", f"{V1}/bridge", 422, "invalid_input", {"to": to}, if_match="*")
        assert answer["errors"] == [{"pointer": "/to", "code": "refused", "detail": said}]


def test_a_shadow_is_begun_read_and_ended(admin: Admin) -> None:
    admin.live.stage.tenant("shadowed", "iris")
    begun = admin.changed("POST", f"{V1}/shadow", {"version": "v2", "share": 40}, of=V1)
    assert begun["shadow"] == {"version": "v2", "share": 40}
    assert admin.changed("POST", f"{V1}/unshadow", of=V1)["shadow"] is None
    report = admin.get(f"{V1}/shadows?tenant=shadowed")
    assert (report["api_version"], report["days"], report["shadows"]) == ("v1", 30, [])
    own = admin.refused("POST", f"{V1}/shadow", 422, "invalid_input", {"version": "1.0.0"}, if_match="*")
    assert own["errors"][0]["pointer"] == "/version"


@pytest.mark.parametrize(
    ("step", "body", "pointers"),
    [
        ("release", {}, ["/version"]),
        ("release", {"version": "1.0.1\x00"}, ["/version"]),
        ("release", {"version": "../../etc/passwd"}, ["/version"]),
        ("release", {"version": "1" * 10_000}, ["/version"]),
        ("release", {"version": "1.0.0", "canary": 0}, ["/canary"]),
        ("release", {"version": "1.0.0", "stable_version": "1.0.0"}, ["/stable_version"]),
        ("rollback", {"force": "yes"}, ["/force"]),
        ("deprecate", {"sunset": "tomorrow", "successor": "v2"}, ["/sunset"]),
        ("deprecate", {"sunset": "2026-02-30", "successor": "v2"}, ["/sunset"]),
        ("deprecate", {"sunset": 1, "successor": "v2"}, ["/sunset"]),
        ("deprecate", {"sunset": "0001-01-01", "successor": "v2"}, ["/sunset"]),
        ("deprecate", {"sunset": "9999-12-31", "successor": "v9"}, ["/successor"]),
        ("deprecate", {**END, "reason": "a\x00b"}, ["/reason"]),
        ("deprecate", {**END, "link": "https://user:word@example.org"}, ["/link"]),
        ("deprecate", {**END, "link": "javascript:alert(1)"}, ["/link"]),
        ("deprecate", {**END, "state": "active"}, ["/state"]),
        ("extensions", {"tenant": "a\x00b", "until": str(LONGER)}, ["/tenant"]),
        ("extensions", {"tenant": "nobody", "until": str(LONGER)}, ["/tenant"]),
        ("brownouts", {"starts_at": "2027-01-01"}, ["/starts_at"]),
        ("brownouts", {"starts_at": 1_900_000_000}, ["/starts_at"]),
        ("brownouts", {"starts_at": "9999-12-31T23:59:59-12:00"}, ["/starts_at"]),
        ("brownouts", {"minutes": 61, "share": 0}, ["/minutes", "/share"]),
        ("bridge", {"to": "2"}, ["/to"]),
        ("unbridge", {"version": "x"}, ["/version"]),
        ("shadow", {"version": "v2", "share": 101}, ["/share"]),
        ("shadow", {"version": "v" * 10_000}, ["/version"]),
        ("shadow", [], [""]),
    ],
)
def test_what_no_step_can_take_is_named_by_its_member(admin: Admin, step: str, body: Any, pointers: list[str]) -> None:
    answer = admin.refused("POST", f"{V1}/{step}", 422, "invalid_input", body, if_match="*")
    assert [error["pointer"] for error in answer["errors"]] == pointers
    assert len(str(answer)) < 2000


BODIES: dict[str, Any] = {
    "release": {"version": "1.0.0", "canary": 5},
    "deprecate": END,
    "extensions": {"tenant": "nobody", "until": str(LONGER)},
    "brownouts": {"minutes": 5},
    "bridge": {"to": "v2"},
    "shadow": {"version": "v2"},
}


@pytest.mark.parametrize(
    "step",
    [
        *("release", "promote", "rollback", "activate", "deprecate", "undeprecate", "retire", "extensions"),
        *("brownouts", "bridge", "unbridge", "shadow", "unshadow"),
    ],
)
def test_no_step_of_an_endpoint_that_is_not_there(admin: Admin, step: str) -> None:
    given = {} if step == "release" else {"if_match": "*"}
    problem(admin.send("POST", f"/endpoints/iris/v9/{step}", BODIES.get(step), **given), 404, "not_found")


def test_a_name_without_end_is_not_even_read(admin: Admin) -> None:
    admin.refused("POST", f"{V1}/release", 413, "body_too_large", {"version": "1" * 1_000_000}, if_match="*")
    admin.refused("GET", f"/endpoints/{'i' * 60_000}/v1", 414, "target_too_long")


@pytest.mark.parametrize(
    "path",
    [
        *("/endpoints/iris/v9", "/endpoints/Iris/v1", "/endpoints/iris/1", "/endpoints/iris%00/v1", "/endpoints/iris/v9/brownouts"),
        *(f"{V1}/brownouts/brn_0", f"{V1}/brownouts/brn_{'0' * 16}", "/endpoints/iris/v9/shadows"),
    ],
)
def test_nothing_is_shown_of_what_is_not_there(admin: Admin, path: str) -> None:
    admin.refused("GET", path, 404, "not_found")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=999999999999999999999", "cursor=x", "state=%25", "model=%00", "model=i%25", "colour=red"]
)
def test_a_query_that_means_nothing_is_refused(admin: Admin, query: str) -> None:
    admin.refused("GET", f"/endpoints?{query}", 422, "invalid_input")


def test_whoever_may_only_read_changes_nothing(live: Live) -> None:
    reader = Admin(live, live.stage.key("_operator", scopes=frozenset({Scope.ADMIN_READ})))
    for step in ("promote", "activate", "undeprecate", "unshadow"):
        problem(reader.send("POST", f"{V1}/{step}", if_match="*"), 403, "scope_missing")
    assert reader.get(V1)["state"] == "active"


def test_a_life_on_each_database(stage_on_each_database: Stage) -> None:
    with stage_on_each_database.serving(load_models="lazy") as live:
        admin = operator(live)
        admin.changed("POST", f"{V1}/deprecate", END, of=V1)
        admin.changed("POST", f"{V1}/bridge", {"to": "v2"}, of=V1)
        starts_at = datetime.now(UTC) + timedelta(hours=30)
        planned = admin.created(f"{V1}/brownouts", {"starts_at": starts_at.isoformat()})
        assert admin.changed("DELETE", f"{V1}/brownouts/{planned['id']}")["told"] == 0
        assert admin.changed("POST", f"{V1}/retire", of=V1)["state"] == "retired"
        assert admin.changed("POST", f"{V1}/undeprecate", of=V1)["bridged_to"] == "v2"
        assert len(admin.all("/endpoints", limit=2)) == 3
