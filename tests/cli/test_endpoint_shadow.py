"""`gatehouse endpoints shadow | unshadow`: what is said and shown, and what is refused with the facts."""

import shlex
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from audit_keys import AUDIT_KEYS
from line_versions import GROWN, NEWER, TOML, publish_line, publish_newer
from stage import ACTOR

from gatehouse.db.session import open_database
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.shadow_rows_store import day_number
from gatehouse.migration.shadow_store import add_shadows
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.migration.shift_buckets import bucket_counts
from gatehouse.migration.store import create_endpoint
from gatehouse.serving.signing import create_publishing_key

SHADOW = ("endpoints", "shadow", "line", "v1", "--with")


@pytest.fixture
def line(gatehouse: Any, state_dir: Path, tmp_path: Path) -> Any:
    """Line v1 (1.0.0) which acme may call, v2 (2.0.0, a preview), v3 without rules, v4 whose rules are one-way; 1.1.0 is published."""
    create_publishing_key(tmp_path / "publishing-key.pem", state_dir / "trusted-keys")
    place: Any = SimpleNamespace(state_dir=state_dir)
    publish_line(tmp_path, place, 0, engine="sklearn")
    publish_line(tmp_path, place, 1, GROWN, engine="sklearn")
    publish_newer(tmp_path, place, 0, engine="sklearn")
    publish_line(tmp_path, place, 0, TOML.replace('"v1"', '"v3"'), engine="sklearn", major=3)
    one_way = NEWER.format(most=2000).replace('"v2"', '"v4"').partition("[upgrade.from.v1.answer]")[0] + "one_way = true\n"
    publish_line(tmp_path, place, 0, one_way, engine="sklearn", major=4)
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with database.write() as session:
        for major in (1, 2, 3, 4):
            create_endpoint(session, ACTOR, "line", f"{major}.0.0")
        create_endpoint(session, ACTOR, "alone", "1.0.0")
    database.close()
    gatehouse("tenants", "create", "acme", "--models", "line")
    return gatehouse


def test_a_shadow_is_begun_shown_changed_and_ended(line: Any) -> None:
    assert line(*SHADOW, "v2").lines == [
        "100 % of the calls of line/v1 are scored by line 2.0.0 too, once they are answered",
        "what came of it: gatehouse migration report line v1 v2",
        "to end it: gatehouse endpoints unshadow line v1",
    ]
    assert "100 % of its calls are scored by v2 too" in line("endpoints", "show", "line", "v1").out
    assert "100 % by v2" in line("status", code=1).out
    assert line(*SHADOW, "1.1.0", "--share", "5", "--json").json["shadow"] == {"with": "1.1.0", "share": 5}
    endpoints = {each["endpoint"]: each["shadow"] for each in line("status", "--json", code=1).json["endpoints"]}
    assert (endpoints["line/v1"], endpoints["line/v2"]) == ({"with": "1.1.0", "share": 5}, None)
    assert line("endpoints", "unshadow", "line", "v1").lines == [
        "line/v1 is scored by line 1.0.0 alone",
        "what its shadows came to: gatehouse endpoints shadows line v1",
    ]
    assert line("endpoints", "show", "line", "v1", "--json").json["shadow"] is None
    assert "has no shadow" in line("endpoints", "unshadow", "line", "v1", code=1).error


def compared(state_dir: Path, tenant: str, other: str, *, days_ago: int = 0, failed: int = 0) -> None:
    """On a day 6 calls: 1 dropped, 1 failed, the others of 10 rows; answers moved by -0.2, 0 and 0.1, and half of them differ."""
    rows = 10 - failed
    shifts = Counter(bucket_counts(np.repeat([-0.2, 0.0, 0.1], [1, rows - 2, 1])))
    failures = Counter({UpgradeFailure("speed", "upgrade_out_of_range"): failed} if failed else {})
    sums = ShadowSums(6, 1, 1, 10, failed, rows // 2, -0.1, shifts, failures)
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with database.write() as session:
        day = day_number(datetime.now(UTC).date()) - days_ago
        add_shadows(session, {ShadowDay(named_tenant(session, tenant).id, "line", "v1", other, day): sums})
    database.close()


@pytest.mark.parametrize("other", ["v2", "1.1.0"])
def test_the_command_that_is_named_shows_what_came_of_it(line: Any, state_dir: Path, other: str) -> None:
    told = line(*SHADOW, other).lines[1]
    compared(state_dir, "acme", "2.0.0" if other == "v2" else other)
    words = shlex.split(told.partition("what came of it: gatehouse ")[2])
    shown = line(*words).lines
    assert [row for row in shown if "acme" in row]
    assert [row for row in shown if ("compared with line 2.0.0" if other == "v2" else "50.0") in row]
    assert "what came of it: gatehouse endpoints shadows line v1" in line("endpoints", "show", "line", "v1").lines


def test_figures_stand_by_other_version_and_tenant(line: Any, state_dir: Path) -> None:
    line("tenants", "create", "bulk", "--models", "line")
    for tenant, other, more in (("bulk", "1.10.0", {}), ("bulk", "1.9.0", {}), ("acme", "1.10.0", {"failed": 2}), ("acme", "2.0.0", {})):
        compared(state_dir, tenant, other, **more)
    compared(state_dir, "acme", "1.10.0", days_ago=31)
    compared(state_dir, "acme", "1.10.0", days_ago=30, failed=2)
    found = line("endpoints", "shadows", "line", "v1", "--json").json
    assert (found["model"], found["api_version"], found["days"]) == ("line", "v1", 30)
    places = [(each["other_version"], each["tenant"]) for each in found["shadows"]]
    assert places == [("1.9.0", "bulk"), ("1.10.0", "acme"), ("1.10.0", "bulk"), ("2.0.0", "acme")]
    assert found["shadows"][1] == {
        "other_version": "1.10.0",
        "tenant": "acme",
        "calls": 12,
        "dropped": 2,
        "failed": 2,
        "rows": 20,
        "not_upgraded": 4,
        "compared": 16,
        "disagreed": 8,
        "disagreement": 0.5,
        "shift_mean": -0.0125,
        "shift_quantiles": {"5": pytest.approx(-0.2, rel=0.02), "50": 0.0, "95": pytest.approx(0.1, rel=0.02)},
        "upgrade_failures": [{"field": "speed", "code": "upgrade_out_of_range", "rows": 4}],
    }
    assert found["shadows"][2]["upgrade_failures"] == []
    shown = line("endpoints", "shadows", "line", "v1").lines
    assert shown[0].startswith("what other versions would have answered callers of line/v1 since ")
    assert [row.split()[:7] for row in shown if "1.9.0" in row] == [["1.9.0", "bulk", "6", "1", "1", "10", "50.0"]]
    assert shown[-1] == "acme, 1.10.0: rows not upgraded: speed upgrade_out_of_range 4"
    of_bulk = line("endpoints", "shadows", "line", "v1", "--tenant", "bulk", "--json").json["shadows"]
    assert of_bulk == [found["shadows"][0], found["shadows"][2]]


def test_where_nothing_was_compared_it_names_the_command_that_begins(line: Any) -> None:
    said = line("endpoints", "shadows", "line", "v1").out
    assert said.startswith("no call to line/v1 was compared since ")
    assert said.endswith("gatehouse endpoints shadow line v1 --with vN --share 100\n")
    assert line("endpoints", "shadows", "line", "v1", "--json").json["shadows"] == []
    assert "no call of acme to line/v1" in line("endpoints", "shadows", "line", "v1", "--tenant", "acme").out
    assert "no tenant 'acm'" in line("endpoints", "shadows", "line", "v1", "--tenant", "acm", code=1).error
    assert "line/v7" in line("endpoints", "shadows", "line", "v7", code=1).error


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("v1", "cannot be its own shadow"),
        ("1.0.0", "is served by 1.0.0"),
        ("1.9.0", "1.9.0 is not in the repository"),
        ("v3", "has no rules from v1; write [upgrade.from.v1]"),
        ("v4", "one-way"),
        ("v9", "line/v9"),
        ("2.0.0", "--with v2"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_facts(line: Any, other: str, words: str) -> None:
    assert words in line(*SHADOW, other, code=1).error
    assert line("endpoints", "show", "line", "v1", "--json").json["shadow"] is None


def test_a_share_of_nothing_names_the_command_that_ends_a_shadow(line: Any) -> None:
    assert "gatehouse endpoints unshadow line v1" in line(*SHADOW, "v2", "--share", "0", code=1).error
    assert "1 to 100" in line(*SHADOW, "v2", "--share", "101", code=1).error


def test_what_nobody_may_call_has_nothing_to_score(line: Any) -> None:
    line("grants", "remove", "acme", "line")
    assert "gatehouse grants add TENANT line --api-version v1" in line(*SHADOW, "v2", code=1).error
    line("grants", "add", "acme", "line", "--api-version", "v2")
    line(*SHADOW, "v2", code=1)
    line("grants", "add", "acme", "line", "--api-version", "v1")
    line(*SHADOW, "v2")


def test_a_version_that_was_changed_after_it_was_signed_is_refused(line: Any, state_dir: Path) -> None:
    (state_dir / "models" / "line" / "2.0.0" / "model.joblib").write_bytes(b"another")
    assert "was changed after it was signed" in line(*SHADOW, "v2", code=1).error
