"""`gatehouse endpoints brownout | brownouts | cancel-brownout`, and what tenants are told by each step of an endpoint's end."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

SUNSET, DAY = (datetime.now(UTC).date() + timedelta(days=days) for days in (200, 30))
LONGER = SUNSET + timedelta(days=100)
DEPRECATE = ("endpoints", "deprecate", "iris", "v1", "--sunset", str(SUNSET), "--successor", "v2")
BROWNOUT = ("endpoints", "brownout", "iris", "v1", "--at", f"{DAY}T10:00Z", "--minutes", "10")


@pytest.fixture
def iris(two_versions: Any) -> Any:
    """A deployment whose iris v1 is deprecated; acme may call it, and globex may call v2 alone."""
    two_versions("tenants", "create", "globex")
    two_versions("grants", "add", "globex", "iris", "--api-version", "v2")
    two_versions(*DEPRECATE)
    return two_versions


def told(iris: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Tenant, kind and data of each notice, oldest first."""
    found = [iris("notices", "show", each["id"], "--json").json for each in reversed(iris("notices", "list", "--json").json)]
    bodies = [json.loads(each["body"]) if isinstance(each["body"], str) else each["body"] for each in found]
    return [(each["tenant"], each["kind"], body["data"]) for each, body in zip(found, bodies, strict=True)]


def test_a_brownout_is_planned_listed_shown_and_taken_back(iris: Any) -> None:
    planned, told_line, back = iris(*BROWNOUT, "--share", "20").lines
    assert planned == f"iris/v1 answers 20 % of the calls of all tenants with 410 from {DAY} 10:00:00 to 10:10:00 UTC"
    assert told_line == "1 tenant is told of it on /account, 0 by webhook too; whoever has moved is spared"
    brownout_id = back.rpartition(" ")[2]
    assert back == f"to take it back: gatehouse endpoints cancel-brownout {brownout_id}"
    (listed,) = iris("endpoints", "brownouts", "iris", "v1", "--json").json
    assert listed == {
        "id": brownout_id,
        "model": "iris",
        "api_version": "v1",
        "starts_at": f"{DAY}T10:00:00Z",
        "ends_at": f"{DAY}T10:10:00Z",
        "share": 20,
        "tenant": None,
        "rehearsed_by_key": None,
    }
    assert f"{brownout_id}   {DAY} 10:00:00   {DAY} 10:10:00   20 %    all tenants" in iris("endpoints", "brownouts", "iris", "v1").out
    shown = iris("endpoints", "show", "iris", "v1", "--json").json["brownouts"]
    assert shown == [{name: listed[name] for name in ("id", "starts_at", "ends_at", "share")}]
    assert "a brownout is planned: gatehouse endpoints brownouts iris v1" in iris("endpoints", "show", "iris", "v1").lines
    assert iris("endpoints", "cancel-brownout", brownout_id).lines == [
        f"{brownout_id} is taken back: iris/v1 answers all tenants again",
        "1 tenant is told of it on /account, 0 by webhook too",
    ]
    assert iris("endpoints", "brownouts", "iris", "v1", "--json").json == []
    none_left = "no brownout is planned: gatehouse endpoints brownout iris v1 --at MOMENT"
    assert iris("endpoints", "brownouts", "iris", "v1").lines == [none_left]


def test_of_one_tenant_in_json_and_both_are_told_of_what_is_theirs(iris: Any) -> None:
    iris("tenants", "create", "initech", "--models", "iris")
    made = iris(*BROWNOUT, "--tenant", "initech", "--json").json
    assert (made["tenant"], made["told"], made["told_by_webhook"], made["share"]) == ("initech", 1, 0, 100)
    taken = iris("endpoints", "cancel-brownout", made["id"], "--json").json
    assert (taken["id"], taken["tenant"], taken["told"]) == (made["id"], "initech", 1)
    windows = [(tenant, kind, data["id"]) for tenant, kind, data in told(iris) if "brownout" in kind]
    assert windows == [("initech", "endpoint.brownout", made["id"]), ("initech", "endpoint.brownout_cancelled", made["id"])]


SOON, THEN = ("--at", "23h"), ("--at", f"{DAY}T10:00Z")
REFUSED: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (SOON, 1, "callers are told 24 hours before a brownout; for one that begins sooner: --force"),
    (("--at", "now"), 1, "callers are told 24 hours before a brownout"),
    (("--at", "2026-01-01T10:00Z", "--force"), 1, "2026-01-01 10:00 UTC is past"),
    (("--at", f"{LONGER}T10:00Z"), 1, f"iris/v1 ends on {SUNSET} (UTC); a brownout comes before that"),
    ((*THEN, "--tenant", "globex"), 1, "globex may not call iris/v1 at all: gatehouse grants add globex iris"),
    ((*THEN, "--tenant", "nobody"), 1, "no tenant 'nobody'"),
    ((*THEN, "--minutes", "61"), 1, "a brownout lasts 1 to 60 minutes"),
    ((*THEN, "--share", "0"), 1, "a brownout takes 1 to 100 percent of the calls"),
    (("--at", "tomorrow"), 2, "write a moment as"),
)


def test_what_cannot_be_is_refused_with_the_facts(iris: Any) -> None:
    for words, code, said in REFUSED:
        assert said in iris("endpoints", "brownout", "iris", "v1", *words, code=code).error
    assert iris("endpoints", "brownouts", "iris", "v1", "--json").json == []


def test_other_endpoints_and_ids_are_refused(iris: Any) -> None:
    active = iris("endpoints", "brownout", "iris", "v2", "--at", f"{DAY}T10:00Z", code=1).error
    assert "iris/v2 is active; only an endpoint that is deprecated and still answers can be browned out" in active
    assert "no endpoint 'iris/v9'" in iris("endpoints", "brownout", "iris", "v9", "--at", f"{DAY}T10:00Z", code=1).error
    assert "no endpoint 'iris/v9'" in iris("endpoints", "brownouts", "iris", "v9", code=1).error
    unknown = iris("endpoints", "cancel-brownout", "brn_1", code=1).error
    assert "no brownout 'brn_1' is planned or under way: gatehouse endpoints brownouts MODEL vN" in unknown
    iris(*BROWNOUT)
    assert "it would overlap brn_" in iris(*BROWNOUT, "--tenant", "acme", code=1).error


def test_one_can_be_planned_so_long_from_now(iris: Any) -> None:
    begins = datetime.fromisoformat(iris(*BROWNOUT[:5], "25h", "--json").json["starts_at"])
    assert timedelta() <= datetime.now(UTC) + timedelta(hours=25) - begins < timedelta(minutes=1)


def test_one_that_is_forced_begins_at_once(iris: Any) -> None:
    made = iris("endpoints", "brownout", "iris", "v1", "--at", "now", "--force", "--json").json
    begins = datetime.fromisoformat(made["starts_at"])
    assert timedelta() <= datetime.now(UTC) - begins < timedelta(minutes=1)
    assert "deprecated, brownout" in iris("status", code=1).out, "and nobody serves"
    assert datetime.fromisoformat(made["ends_at"]) - begins == timedelta(minutes=5)


def test_tenants_with_a_grant_are_told_of_every_step(iris: Any) -> None:
    iris(*DEPRECATE)  # the same again is nothing new
    iris(*DEPRECATE[:-3], str(SUNSET + timedelta(days=1)), "--successor", "v2", "--reason", "more time")
    iris("endpoints", "extend", "iris", "v1", "--tenant", "acme", "--until", str(LONGER))
    iris(*DEPRECATE)  # acme's own day stays
    iris("endpoints", "retire", "iris", "v1", "--force")
    today = datetime.now(UTC).date()
    iris("endpoints", "undeprecate", "iris", "v1")
    iris("endpoints", "undeprecate", "iris", "v1")
    said = told(iris)
    assert {tenant for tenant, _, _ in said} == {"acme"}
    assert [(kind, data.get("sunset")) for _, kind, data in said] == [
        ("endpoint.deprecated", str(SUNSET)),
        ("endpoint.sunset_changed", str(SUNSET + timedelta(days=1))),
        ("endpoint.extended", str(LONGER)),
        ("endpoint.retired", str(today)),
        ("endpoint.undeprecated", None),
    ]
    first, last = said[0][2], said[-1][2]
    assert (first["model"], first["api_version"], first["successor"]["api_version"]) == ("iris", "v1", "v2")
    assert first["link"].startswith("http")
    assert said[1][2]["reason"] == "more time"
    assert last == {"tenant": "acme", "model": "iris", "api_version": "v1"}


def test_brownouts_are_gone_with_the_deprecation_and_behind_an_earlier_end(iris: Any) -> None:
    def windows() -> list[str]:
        return [each["id"] for each in iris("endpoints", "brownouts", "iris", "v1", "--json").json]

    early, late = (iris(*BROWNOUT[:5], f"{day}T10:00Z", "--json").json["id"] for day in (DAY, DAY + timedelta(days=1)))
    iris(*DEPRECATE[:-3], str(DAY), "--successor", "v2")
    assert windows() == [early]
    iris("endpoints", "undeprecate", "iris", "v1")
    iris(*DEPRECATE)
    assert windows() == []
    cancelled = [data["id"] for _, kind, data in told(iris) if kind == "endpoint.brownout_cancelled"]
    assert cancelled == [late, early]
