"""`gatehouse migration report`: the table, JSON and CSV, and what is refused."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from past_calls import call, insert_calls
from stage import ACTOR

from gatehouse.db.session import Database, open_database
from gatehouse.migration.endpoint import Deprecation
from gatehouse.migration.life_store import change_life
from gatehouse.migration.report_facts import COLUMNS
from gatehouse.migration.shadow_store import add_shadows
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.migration.store import activate, create_endpoint

NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUNSET = NOW.date() + timedelta(days=200)
REPORT = ("migration", "report", "iris", "v1", "v2")
Ids = dict[str, str]


@contextmanager
def opened(state_dir: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def iris(gatehouse: Any, state_dir: Path) -> Any:
    """A deployment with iris v1, which ends, and v2; acme and globex may call both, initech v1 alone. Nobody has called."""
    with opened(state_dir) as database, database.write() as session:
        for version in ("1.0.0", "2.0.0"):
            create_endpoint(session, ACTOR, "iris", version)
        activate(session, ACTOR, "iris", "v2")
        ending = Deprecation(NOW - 9 * DAY, SUNSET, "v2")
        change_life(session, ACTOR, "deprecate", "iris", "v1", lambda seen, _all: replace(seen, state="deprecated", deprecation=ending))
    for name in ("acme", "globex"):
        gatehouse("tenants", "create", name, "--models", "iris")
    gatehouse("tenants", "create", "initech")
    gatehouse("grants", "add", "initech", "iris", "--api-version", "v1")
    return gatehouse


@pytest.fixture
def ids(iris: Any) -> Ids:
    """Tenants' ids by name, and the id of a key of each by `name-key`."""
    found: Ids = {each["name"]: each["id"] for each in iris("tenants", "list", "--json").json}
    return found | {f"{name}-key": iris("keys", "create", "--tenant", name, "--json").json["id"] for name in ("acme", "globex", "initech")}


@pytest.fixture
def called(iris: Any, ids: Ids, state_dir: Path) -> Any:
    """acme calls v1 and has rows that fail, globex has moved, initech calls v1 alone."""
    day = (NOW.date() - date(1970, 1, 1)).days
    with opened(state_dir) as database:
        many(database, ids, "acme", 1400)
        many(database, ids, "globex", 300, api_version="v2")
        many(database, ids, "initech", 7)
        insert_calls(database, call(NOW, ids["acme"], 10 * DAY, key_id=ids["acme-key"]))
        with database.write() as session:
            sums = ShadowSums(
                calls=20, rows=2000, not_upgraded=12, disagreed=64, failures=Counter({UpgradeFailure("petal_length", "out_of_range"): 12})
            )
            add_shadows(session, {ShadowDay(ids["acme"], "iris", "v1", "2.0.0", day): sums})
    return iris


def many(database: Database, ids: Ids, name: str, calls: int, **more: Any) -> None:
    insert_calls(database, *(call(NOW, ids[name], HOUR, key_id=ids[f"{name}-key"], **more) for _ in range(calls)))


def test_it_says_who_calls_what_would_fail_and_who_has_been_told(called: Any, ids: Ids) -> None:
    shown = called(*REPORT)
    since = datetime.now(UTC).date() - 30 * DAY
    assert shown.lines[:4] == [
        f"iris/v1 is deprecated and answers until the end of {SUNSET} (UTC); callers are told to move to v2",
        "if iris/v1 were switched off now: 2 tenants, 201 calls a day would fail (answered in 7 days)",
        f"calls since {since} (UTC) that reached an endpoint, answered or refused; those that got 410 are left out",
        "compared with iris 2.0.0",
    ]
    hour = (NOW - HOUR).strftime("%Y-%m-%d %H:00")
    table = [line.split() for line in shown.lines[4:12]]
    assert table[0] == ["tenant", "and", "keys", "last", "v1", "call", "v1", "v2", "%", "on", "v2", "verdict"]
    assert table[2] == ["acme", *hour.split(), "1,401", "0", "0", "blocked"]
    assert table[3] == ["default", ids["acme-key"], *hour.split(), "1,401", "0", "0", "blocked"]
    assert table[4] == ["globex", "never", "0", "300", "100", "moved"]
    assert table[6] == ["initech", *hour.split(), "7", "0", "0", "blocked"]
    rest = shown.lines[12:]
    told = f"  v1 until {SUNSET}; last told by a notice: never, by an answer: {hour} UTC"
    assert rest == [
        "acme: blocked",
        "  - 12 of 2,000 rows cannot be upgraded to v2: petal_length out_of_range 12",
        "  - v2 answers 3.2 % of 1,988 compared rows otherwise",
        told,
        "  1,988 rows compared, 3.2 % answered otherwise; 12 not upgraded",
        "globex: moved",
        "  - 300 of 300 answered calls in 7 days on v2",
        "initech: blocked",
        "  - v2 is not granted: gatehouse grants add initech iris --api-version v2",
        "  - no answered call on v2 in 7 days, and no row compared with it in 30: gatehouse endpoints shadow iris v1 --with v2 --share 100",
        told,
        "3 tenants: 2 blocked, 1 moved",
    ]


@pytest.mark.parametrize("width", [80, 140])
def test_no_line_is_wider_than_the_terminal(called: Any, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    for name, value in {"COLUMNS": str(width), "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    shown = re.sub(r"\x1b\[[0-9]*m", "", called(*REPORT).out)
    assert width - 20 < max(len(line.rstrip()) for line in shown.splitlines()) <= width
    assert "…" not in shown
    assert "petal_length" in shown


def test_json_and_csv_hold_the_same_figures(called: Any, ids: Ids) -> None:
    facts = called(*REPORT, "--json").json
    lines = list(csv.DictReader(io.StringIO(called(*REPORT, "--csv").out, newline="")))
    assert tuple(lines[0]) == COLUMNS
    assert [(row["tenant"], row["verdict"]) for row in facts["tenants"]] == [
        ("acme", "blocked"),
        ("globex", "moved"),
        ("initech", "blocked"),
    ]
    assert facts["if_switched_off"] == {"tenants": 2, "calls_a_day": 201.0}
    assert [row["spared_by_brownouts"] for row in facts["tenants"]] == [False, True, False]
    assert [line["spared_by_brownouts"] for line in lines] == ["no", "yes", "no"]
    keys = [(row["tenant"], key) for row in facts["tenants"] for key in row["keys"]]
    assert len(keys) == len(lines) == 3
    for (tenant, key), line in zip(keys, lines, strict=True):
        assert (line["tenant"], line["key_id"], line["key_verdict"]) == (tenant, key["key_id"], key["verdict"])
        assert (line["old_calls"], line["new_calls"]) == (str(key["old_calls"]), str(key["new_calls"]))
        assert line["last_old_call"] == (key["last_old_call"] or "")
    assert facts["tenants"][0]["upgrade_failures"] == [{"field": "petal_length", "code": "out_of_range", "rows": 12}]


def test_of_one_tenant_alone(called: Any) -> None:
    facts = called(*REPORT, "--tenant", "initech", "--json").json
    assert [row["tenant"] for row in facts["tenants"]] == ["initech"]
    assert facts["if_switched_off"] == {"tenants": 1, "calls_a_day": 1.0}
    assert facts["compared_with"] is None


def test_it_works_without_rules_and_says_so(published: Any, estimator: Path, contract: Any) -> None:
    assert published("models", "publish", estimator, "--contract", contract("pair", "v2")).code == 0
    report = ("migration", "report", "pair", "v1", "v2")
    assert published(*report).lines == [
        "pair/v1 is active, with no end announced",
        "if pair/v1 were switched off now: nothing would fail, no call was answered in 7 days",
        f"nobody may call pair/v1, and nobody has since {datetime.now(UTC).date() - 30 * DAY}",
    ]
    published("tenants", "create", "acme", "--models", "pair")
    assert "upgrade failures are not known: the contract of pair/v2 has no rules from v1" in published(*report).lines
    facts = published(*report, "--json").json
    assert (facts["upgrade_rules"], facts["tenants"][0]["upgrade_failures"]) == (False, None)


def test_where_nothing_was_compared_it_says_how_to(iris: Any) -> None:
    line = iris(*REPORT).lines[3]
    assert line == "upgrade failures and differences are not known: gatehouse endpoints shadow iris v1 --with v2 --share 100"
    assert iris(*REPORT, "--json").json["upgrade_rules"] is None, "the contract of 2.0.0 is not here"


def test_an_endpoint_that_is_switched_off_says_how_many_still_call(called: Any, ids: Ids, state_dir: Path) -> None:
    called("endpoints", "retire", "iris", "v1", "--force")
    with opened(state_dir) as database:
        many(database, ids, "acme", 3, status=410)
    shown = called(*REPORT)
    assert shown.lines[1] == f"iris/v1 is switched off: 3 calls since {datetime.now(UTC).date() - 30 * DAY} got 410"
    assert "  - 3 calls on v1 answered with 410 in 30 days" in shown.lines


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("iris", "v1", "v3"), "no endpoint 'iris/v3'; known endpoints: iris/v1, iris/v2", 1),
        (("iris", "v0", "v2"), "no endpoint 'iris/v0'", 1),
        (("wine", "v1", "v2"), "no endpoint 'wine/v1'", 1),
        (("iris", "v2", "v1"), "iris/v1 is no later version than iris/v2; name the older one first", 1),
        (("iris", "v1", "v1"), "iris/v1 is no later version than iris/v1", 1),
        (("iris", "v1", "v2", "--tenant", "nobody"), "no tenant 'nobody'; known tenants: acme, globex, initech", 1),
        (("iris", "v1", "v2", "--json", "--csv"), "choose --json or --csv", 2),
        (("iris", "v1"), "Missing argument", 2),
    ],
)
def test_a_report_that_cannot_be_is_refused_with_the_facts(iris: Any, arguments: tuple[str, ...], said: str, code: int) -> None:
    assert said in iris("migration", "report", *arguments, code=code).error
