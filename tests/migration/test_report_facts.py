"""The migration report for programs: the same facts as JSON and as CSV that no spreadsheet runs."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gatehouse.migration.endpoint import Deprecation, Endpoint
from gatehouse.migration.report import Caller, CallerKey, Findings, MigrationReport, report_of
from gatehouse.migration.report_facts import COLUMNS, csv_rows, report_facts
from gatehouse.migration.report_standing import Moves, Pair, Told
from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures
from gatehouse.usage.csv_text import csv_lines

NOW = datetime(2026, 11, 15, 12, 30, tzinfo=UTC)
OLD = Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=Deprecation(NOW - timedelta(days=9), date(2027, 6, 30), "v2"))
PAIR = Pair(OLD, Endpoint("iris", "v2", "active", "2.0.0"), rules=True)
KEYS = (CallerKey("k1", "=HYPERLINK(1)", None), CallerKey("k2", "nightly", "revoked on 2026-11-01"))
SHADOW = ShadowFigures("a", "2.0.0", 20, 2, 1, 300, 30, 27, 0.123456, {5: -0.5, 50: 0.0, 95: 0.25})
FOUND = Findings(
    moves={("a", "k1"): Moves(3, 1, 2, 2, 1, NOW, NOW), ("a", "k2"): Moves(old_calls=4)},
    told={"a": Told(by_notice=NOW)},
    compared_with="2.0.0",
    shadows={"a": SHADOW},
    failures={"a": (UpgradeFailures("a", "age", "out_of_range", 30), UpgradeFailures("a", "first,last", "too_long", 3))},
)


def made(*callers: Caller, found: Findings = FOUND) -> MigrationReport:
    return report_of(PAIR, NOW, callers, found)


ACME = Caller("a", "acme", None, frozenset({"*"}), KEYS)
BARE = Caller("b", "bare", None, frozenset({"v1"}), ())


def lines(report: MigrationReport) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_lines([COLUMNS, *csv_rows(report)]))))


def test_facts_of_a_tenant_hold_every_figure_that_its_verdict_goes_by() -> None:
    facts: dict[str, Any] = json.loads(json.dumps(report_facts(made(BARE, ACME))))
    acme, bare = facts.pop("tenants")
    assert facts == {
        "model": "iris",
        "old": {
            "api_version": "v1",
            "state": "deprecated",
            "model_version": "1.0.0",
            "bridged_to": None,
            "deprecated_at": "2026-11-06T12:30:00Z",
            "sunset": "2027-06-30",
            "successor": "v2",
        },
        "new": {
            "api_version": "v2",
            "state": "active",
            "model_version": "2.0.0",
            "bridged_to": None,
            "deprecated_at": None,
            "sunset": None,
            "successor": None,
        },
        "at": "2026-11-15T12:30:00Z",
        "since": "2026-10-16",
        "days": 30,
        "compared_with": "2.0.0",
        "upgrade_rules": True,
        "if_switched_off": {"tenants": 1, "calls_a_day": 0.3},
        "verdicts": {"blocked": 1, "at_risk": 0, "ready": 0, "moved": 0, "silent": 1},
    }
    keys, reasons = acme.pop("keys"), acme.pop("reasons")
    assert acme == {
        "tenant": "acme",
        "verdict": "blocked",
        "last_old_call": "2026-11-15T12:30:00Z",
        "old_calls": 7,
        "new_calls": 1,
        "gone_calls": 2,
        "share_on_new": 0.125,
        "old_answered_7_days": 2,
        "new_answered_7_days": 1,
        "spared_by_brownouts": False,
        "last_day": "2027-06-30",
        "told": {"by_notice": "2026-11-15T12:30:00Z", "by_answer": None},
        "shadow": {
            "calls": 20,
            "dropped": 2,
            "failed": 1,
            "rows": 300,
            "not_upgraded": 30,
            "compared": 270,
            "disagreed": 27,
            "disagreement": 0.1,
            "shift_mean": 0.1235,
            "shift_quantiles": {"5": -0.5, "50": 0.0, "95": 0.25},
        },
        "upgrade_failures": [
            {"field": "age", "code": "out_of_range", "rows": 30},
            {"field": "first,last", "code": "too_long", "rows": 3},
        ],
    }
    assert [(each["code"], each["verdict"]) for each in reasons] == [
        ("rows_not_upgraded", "blocked"),
        ("disagreement", "at_risk"),
        ("told_gone", "ready"),
    ]
    assert [(key["key_id"], key["name"], key["verdict"], key["old_calls"]) for key in keys] == [
        ("k1", "=HYPERLINK(1)", "blocked", 3),
        ("k2", "nightly", "silent", 4),
    ]
    assert (bare["keys"], bare["shadow"], bare["upgrade_failures"], bare["share_on_new"]) == ([], None, None, None)


def test_failures_are_not_known_where_no_row_was_tried_and_none_where_all_went_well() -> None:
    dropped = replace(FOUND, shadows={"a": replace(SHADOW, calls=2, dropped=2, rows=0, not_upgraded=0, disagreed=0)}, failures={})
    well = replace(FOUND, shadows={"a": replace(SHADOW, not_upgraded=0)}, failures={})
    assert report_facts(made(ACME, found=dropped))["tenants"][0]["upgrade_failures"] is None
    assert report_facts(made(ACME, found=well))["tenants"][0]["upgrade_failures"] == []
    assert [line["upgrade_failures"] for line in lines(made(ACME, found=dropped))] == ["", ""]
    assert [line["upgrade_failures"] for line in lines(made(ACME, found=well))] == ["none", "none"]


def test_csv_has_a_line_for_each_key_and_for_a_tenant_without_one() -> None:
    first, second, bare = lines(made(BARE, ACME))
    assert (first["tenant"], first["key_id"], first["old_calls"], first["share_on_new"]) == ("acme", "k1", "3", "0.25")
    assert (second["key_id"], second["key_verdict"], second["old_calls"], second["last_old_call"]) == ("k2", "silent", "4", "")
    of_tenant = COLUMNS[COLUMNS.index("tenant_verdict") :]
    assert [first[name] for name in of_tenant] == [second[name] for name in of_tenant]
    rows = "rows_not_upgraded: 30 of 300 rows cannot be upgraded to v2: age out_of_range 30, first,last too_long 3; disagreement: "
    assert first["tenant_reasons"].startswith(rows)
    assert (first["tenant_verdict"], first["spared_by_brownouts"]) == ("blocked", "no")
    assert first["upgrade_failures"] == "age out_of_range 30, first,last too_long 3"
    assert (first["compared_rows"], first["disagreed_rows"], first["disagreement"], first["not_upgraded_rows"]) == (
        "270",
        "27",
        "0.1",
        "30",
    )
    assert (bare["tenant"], bare["key_id"], bare["tenant_verdict"], bare["compared_rows"]) == ("bare", "", "silent", "")


def test_no_cell_of_csv_starts_a_formula() -> None:
    cells = [cell for line in lines(made(BARE, ACME)) for cell in line.values()]
    assert "'=HYPERLINK(1)" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


class Gone(dict[tuple[str, str], Moves]):
    """Counts how often it is gone through."""

    times = 0

    def items(self) -> Any:
        self.times += 1
        return super().items()


def test_calls_are_gone_through_once_however_many_tenants_there_are() -> None:
    moves = Gone({(f"t{number}", "k1"): Moves(old_calls=number) for number in range(30)})
    callers = [Caller(f"t{number}", f"name{number}", None, frozenset({"*"}), ()) for number in range(30)]
    found = made(*callers, found=replace(FOUND, moves=moves))
    assert moves.times == 1
    assert sorted(row.standing.moves.old_calls for row in found.tenants) == list(range(30))
