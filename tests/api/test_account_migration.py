"""`GET /account/migration`: a tenant's own way from one API version to the next, and the whole report beside it, from real calls."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.db.tables import UsageEventTable
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.life_store import change_life
from gatehouse.migration.report import MigrationReport
from gatehouse.migration.report_standing import Moves, Pair
from gatehouse.migration.report_store import read_report
from gatehouse.migration.shadow_rows_store import day_number
from gatehouse.migration.shadow_store import add_shadows
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.migration.store import named_endpoint
from gatehouse.migration.transitions import Announcement, deprecated, extended, retired
from gatehouse.principal import Plan, Rate, Scope

SUNSET = datetime.now(UTC).date() + timedelta(days=200)
LONGER = SUNSET + timedelta(days=100)
V1, V2 = "/v1/models/iris/predict", "/v2/models/iris/predict"
GOOD, BAD = instances(IRIS_ROW), instances({**IRIS_ROW, "petal_length": -5})


def deprecate(stage: Stage) -> None:
    now = datetime.now(UTC)
    with stage.database.write() as session:
        change_life(session, ACTOR, "deprecate", "iris", "v1", lambda seen, all_: deprecated(seen, all_, Announcement(SUNSET, "v2"), now))


def row_of_v2(live: Live, key: str) -> dict[str, Any]:
    """An example that the contract of v2 gives."""
    features = live.get("/v2/models/iris", key).json()["contract"]["features"]
    return {feature["name"]: feature["example"] for feature in features}


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    """iris/v1 is deprecated."""
    deprecate(module_stage)
    with module_stage.serving() as running:
        yield running


def migrations(live: Live, key: str) -> list[dict[str, Any]]:
    answer = live.get("/account/migration", key)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["migrations"]
    return found


def shadow(stage: Stage, tenant: str, **sums: Any) -> None:
    """What comparing its calls came to today."""
    with stage.database.write() as session:
        tenant_id = named_tenant(session, tenant).id
        day = ShadowDay(tenant_id, "iris", "v1", "2.0.0", day_number(datetime.now(UTC).date()))
        add_shadows(session, {day: ShadowSums(**sums)})


def test_a_tenant_sees_its_calls_its_verdict_and_what_speaks_against_moving(live: Live) -> None:
    key, stage = live.stage.tenant("acme", "iris"), live.stage
    second = stage.key("acme", name="nightly")
    wait_until(lambda: live.get("/account", second).status_code == 200)
    new = instances(row_of_v2(live, key))
    answers = [live.predict(key, GOOD), live.predict(key, BAD), live.predict(second, new, V2), live.predict(key, GOOD)]
    assert [answer.status_code for answer in answers] == [200, 422, 200, 200]
    wait_until(lambda: live.get("/account/usage", key).json()["calls"] == 4)
    shadow(
        stage, "acme", calls=2, rows=40, not_upgraded=3, disagreed=1, failures=Counter({UpgradeFailure("petal_length", "out_of_range"): 3})
    )
    (found,) = migrations(live, key)
    assert (found["model"], found["api_version"], found["lifecycle"], found["sunset"]) == ("iris", "v1", "deprecated", SUNSET.isoformat())
    assert found["successor"] == {"api_version": "v2", "url": live.base_url + V2}
    counts = {"old_calls": 3, "new_calls": 1, "gone_calls": 0, "share_on_new": 0.25, "old_answered_7_days": 2, "new_answered_7_days": 1}
    assert {name: found[name] for name in counts} == counts
    assert found["calls_a_day"] == 0.3
    assert found["last_day"] == SUNSET.isoformat()
    assert [reason["code"] for reason in found["reasons"]] == ["rows_not_upgraded", "disagreement"]
    assert (found["verdict"], found["upgrade_rules"], found["compared_with"]) == ("blocked", True, "2.0.0")
    assert found["upgrade_failures"] == [{"field": "petal_length", "code": "out_of_range", "rows": 3}]
    assert (found["shadow"]["compared"], found["shadow"]["disagreement"]) == (37, round(1 / 37, 4))
    hour = datetime.fromisoformat(found["last_old_call"])
    assert datetime.now(UTC) - hour < timedelta(hours=1, minutes=1)
    assert found["told"]["by_notice"] is None
    assert datetime.fromisoformat(found["told"]["by_answer"]) >= hour
    keys = {each["key_id"]: (each["name"], each["verdict"], each["old_calls"], each["new_calls"]) for each in found["keys"]}
    assert keys == {key_id(key): ("default", "blocked", 3, 0), key_id(second): ("nightly", "moved", 0, 1)}


def test_no_figure_of_another_tenant_is_seen(live: Live) -> None:
    """SECURITY.md, row 42: what neighbours do shows nothing."""
    loud, quiet = live.stage.tenant("loud", "iris"), live.stage.tenant("quiet", "iris")
    for _ in range(3):
        assert live.predict(loud, GOOD).status_code == 200
    wait_until(lambda: migrations(live, loud)[0]["old_calls"] == 3)
    shadow(live.stage, "loud", calls=3, rows=3, disagreed=3)
    (found,) = migrations(live, quiet)
    assert (found["old_calls"], found["verdict"], found["calls_a_day"], found["compared_with"]) == (0, "silent", 0.0, None)
    assert (found["shadow"], found["upgrade_failures"], found["told"]) == (None, None, {"by_notice": None, "by_answer": None})
    assert [each["key_id"] for each in found["keys"]] == [key_id(quiet)]
    said = live.get(f"/account/migration?tenant=loud&tenant_id=loud&key={key_id(loud)}", quiet).text
    assert key_id(loud) not in said
    assert "loud" not in said


def test_only_what_ends_is_told_and_only_to_whom_it_is_granted(live: Live) -> None:
    assert migrations(live, live.stage.tenant("liner", "line")) == []
    assert migrations(live, live.stage.tenant("nothing")) == []
    alone = live.stage.tenant("alone")
    live.stage.grant("alone", "iris", "v1")
    wait_until(lambda: live.get("/account", alone).json()["endpoints"] != [])
    (found,) = migrations(live, alone)
    assert [reason["code"] for reason in found["reasons"]] == ["no_calls"]
    assert live.predict(alone, GOOD).status_code == 200
    wait_until(lambda: migrations(live, alone)[0]["verdict"] == "blocked")
    reasons = {reason["code"]: reason["detail"] for reason in migrations(live, alone)[0]["reasons"]}
    assert reasons["new_not_granted"] == "v2 is not granted"
    assert "gatehouse" not in str(reasons), "an operator's command is of no use to a partner"


def test_an_extension_moves_the_last_day_of_its_tenant_alone(live: Live) -> None:
    longer, other = live.stage.tenant("longer", "iris"), live.stage.tenant("as-usual", "iris")
    with live.stage.database.write() as session:
        tenant_id, now = named_tenant(session, "longer").id, datetime.now(UTC)
        change_life(session, ACTOR, "extend", "iris", "v1", lambda seen, _all: extended(seen, tenant_id, "longer", LONGER, now))
    wait_until(lambda: migrations(live, longer)[0]["last_day"] == LONGER.isoformat())
    assert migrations(live, longer)[0]["sunset"] == LONGER.isoformat()
    assert migrations(live, other)[0]["last_day"] == SUNSET.isoformat()


@pytest.mark.parametrize("scopes", [{Scope.ACCOUNT_READ}, {Scope.PREDICTIONS_CREATE}])
def test_it_needs_the_scope_of_usage(live: Live, scopes: set[Scope]) -> None:
    name = "scoped-" + next(iter(scopes)).name.lower().replace("_", "-")
    live.stage.tenant(name, "iris")
    refused = problem(live.get("/account/migration", live.stage.key(name, scopes=scopes)), 403, "scope_missing")
    assert refused["scope"] == Scope.USAGE_READ
    problem(live.get("/account/migration"), 401, "credential_missing")


def test_it_is_limited_for_each_key_and_never_metered(stage: Stage) -> None:
    key = stage.tenant("often", "iris")
    deprecate(stage)
    with stage.serving(account_requests_per_minute="3") as live:
        assert [live.get("/account/migration", key).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert live.get("/account/usage", key).json()["calls"] == 0


def test_after_the_end_it_says_that_somebody_still_calls(stage: Stage) -> None:
    deprecate(stage)
    with stage.database.write() as session:
        now = datetime.now(UTC)
        change_life(session, ACTOR, "retire", "iris", "v1", lambda seen, all_: retired(seen, all_, [], now, force=True))
    key = stage.tenant("late", "iris")
    with stage.serving() as live:
        assert live.predict(key, GOOD).status_code == 410
        wait_until(lambda: migrations(live, key)[0]["gone_calls"] == 1)
        (found,) = migrations(live, key)
    assert (found["lifecycle"], found["old_calls"], found["calls_a_day"]) == ("retired", 0, 0.0)
    assert (found["verdict"], [reason["code"] for reason in found["reasons"]]) == ("at_risk", ["not_tried", "told_gone"])
    assert found["told"]["by_answer"] is not None


def test_an_exhausted_tenant_can_still_read_it(stage: Stage) -> None:
    stage.plan(Plan("closed", Rate(1, 86_400, 1), Rate(1, 86_400, 1), 1, "hard", 1, 1000))
    deprecate(stage)
    key = stage.tenant("spent", "iris", plan="closed")
    with stage.serving() as live:
        assert [live.predict(key, GOOD).status_code for _ in range(2)] == [200, 429]
        assert len(migrations(live, key)) == 1


def test_figures_equal_those_counted_apart_from_the_events_and_by_the_callers(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    keys = {name: (stage.tenant(name, "iris"), stage.key(name, name="second")) for name in ("stays", "moves", "mixes")}
    sent: Counter[tuple[str, str, int]] = Counter()
    with stage.serving() as live:
        new = instances(row_of_v2(live, keys["stays"][0]))

        def send(*calls: tuple[str, int, str, Any]) -> None:
            for name, place, path, body in calls:
                key = keys[name][place]
                sent[key_id(key), path.split("/")[1], live.predict(key, body, path).status_code] += 1

        send(("stays", 0, V1, GOOD), ("moves", 0, V1, GOOD), ("mixes", 1, V1, BAD))
        second = int(time.time())
        wait_until(lambda: time.time() >= second + 1)  # a deprecation is of a whole second
        deprecate(stage)
        wait_until(lambda: migrations(live, keys["stays"][0]) != [])
        send(("stays", 0, V1, GOOD), ("stays", 1, V1, BAD), ("stays", 1, V1, GOOD), ("mixes", 1, V1, GOOD), ("mixes", 0, V2, new))
        send(*(("moves", place, V2, new) for place in (0, 1, 1)), ("moves", 0, V2, b"{"))
        wait_until(lambda: sum(events(stage).values()) == sum(sent.values()))
        report = read(stage)
        told = {name: migrations(live, keys[name][0]) for name in keys}
    assert events(stage) == sent
    for row in report.tenants:
        assert {each.key.id for each in row.keys} == {key_id(key) for key in keys[row.tenant]}
        assert [moves_of(sent, key.key.id) for key in row.keys] == [figures(key.moves) for key in row.keys]
        sums = [sum(column) for column in zip(*(moves_of(sent, key.key.id) for key in row.keys), strict=True)]
        assert sums == list(figures(row.standing.moves))
        (shown,) = told[row.tenant]
        names = ("old_calls", "new_calls", "old_answered_7_days", "new_answered_7_days")
        assert [shown[name] for name in names] == sums
    assert (report.switched_off.tenants, report.switched_off.calls) == (3, sum(n for (_, *what), n in sent.items() if what == ["v1", 200]))
    assert {row.tenant: row.standing.told.by_answer is not None for row in report.tenants} == {"stays": True, "mixes": True, "moves": False}


def moves_of(sent: Counter[tuple[str, str, int]], key: str) -> tuple[int, ...]:
    """Calls on v1 and v2, and those that were answered."""
    mine = [(version, status, n) for (owner, version, status), n in sent.items() if owner == key]
    calls = [sum(n for version, _, n in mine if version == name) for name in ("v1", "v2")]
    return (*calls, *(sum(n for version, status, n in mine if (version, status) == (name, 200)) for name in ("v1", "v2")))


def figures(moves: Moves) -> tuple[int, ...]:
    return moves.old_calls, moves.new_calls, moves.old_answered, moves.new_answered


def events(stage: Stage) -> Counter[tuple[str, str, int]]:
    """What the events themselves say, one by one."""
    with stage.database.read() as session:
        return Counter((each.key_id, str(each.api_version), each.status) for each in session.exec(select(UsageEventTable)))


def read(stage: Stage) -> MigrationReport:
    with stage.database.read() as session:
        pair = Pair(*(named_endpoint(session, "iris", version) for version in ("v1", "v2")), rules=True)
        return read_report(session, pair, datetime.now(UTC))
