"""`gatehouse endpoints bridge | unbridge`: what is said, and what is refused with the facts."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from line_versions import NEWER, publish_line, publish_newer
from stage import ACTOR

from gatehouse.db.session import open_database
from gatehouse.migration.store import activate, create_endpoint
from gatehouse.serving.signing import create_publishing_key

BRIDGE = ("endpoints", "bridge", "line", "v1", "--to", "v2")
UNBRIDGE = ("endpoints", "unbridge", "line", "v1")
SUNSET = (datetime.now(UTC) + timedelta(days=90)).date()
Publish = Callable[..., Path]


@pytest.fixture
def publish(state_dir: Path, tmp_path: Path) -> Publish:
    """Writes `line MAJOR.OFFSET.0`; of 2 with these upgrade rules."""
    create_publishing_key(tmp_path / "publishing-key.pem", state_dir / "trusted-keys")
    place: Any = SimpleNamespace(state_dir=state_dir)

    def write(version: str, rules: str | None = None, **more: Any) -> Path:
        major, offset = map(int, version.split(".")[:2])
        if major == 2 and rules is None:
            return publish_newer(tmp_path, place, offset, engine="sklearn", **more)
        toml = {"toml": NEWER.format(most=2000).partition("[upgrade")[0] + rules} if rules is not None else {}
        return publish_line(tmp_path, place, offset, engine="sklearn", major=major, **toml)

    return write


@pytest.fixture
def line(gatehouse: Any, state_dir: Path, publish: Publish) -> Any:
    """A deployment with line v1 (1.0.0) and v2 (2.0.0), whose rules upgrade every row."""
    for version in ("1.0.0", "2.0.0"):
        publish(version)
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with database.write() as session:
        for version in ("1.0.0", "2.0.0"):
            create_endpoint(session, ACTOR, "line", version)
        activate(session, ACTOR, "line", "v2")
    database.close()
    return gatehouse


def refused(line: Any, *command: str) -> str:
    """What a command is refused with, which is not a stack."""
    error: str = line(*command, code=1).error
    assert "Traceback" not in error
    return error


def test_a_bridge_begins_is_shown_and_ends(line: Any, state_dir: Path) -> None:
    assert line(*BRIDGE).lines == [
        "line/v1 is bridged to v2: line 2.0.0 answers its calls",
        "every row of v1 (line 1.0.0) becomes a valid row; 502 were tried on top of the proof",
        "the model of line 1.0.0 answers nothing any more and may go; its manifest, signature and contract must stay",
        "to take it back: gatehouse endpoints unbridge line v1",
    ]
    assert line(*BRIDGE, "--json").json["bridged_to"] == "v2"  # once more is no change
    assert line("endpoints", "show", "line", "v1", "--json").json["bridged_to"] == "v2"
    shown = line("endpoints", "show", "line", "v1").lines
    assert shown[0] == "line/v1 is active and bridged to v2, whose model answers by the contract of line 1.0.0"
    assert shown[1] == "to take the bridge away: gatehouse endpoints unbridge line v1"
    answers = "its model answers the calls of line/v1 too, which is bridged to it"
    assert answers in line("endpoints", "show", "line", "v2").lines
    assert answers not in shown
    assert "bridged to v2" in line("endpoints", "list").out
    assert "v1 active, bridged to v2; v2 active, serves 2.0.0" in line("models", "list").out
    status = {each["endpoint"]: each for each in line("status", "--json", code=1).json["endpoints"]}  # 1: nobody serves
    assert (status["line/v1"]["version"], status["line/v1"]["bridged_to"], status["line/v2"]["bridged_to"]) == ("2.0.0", "v2", None)
    assert "2.0.0 of v2" in line("status", code=1).out
    assert line(*UNBRIDGE).lines == ["line/v1 is served by line 1.0.0 again"]
    assert line("endpoints", "show", "line", "v1", "--json").json["bridged_to"] is None
    told = [(each["action"], each["detail"]) for each in audit(state_dir) if each["object"] == "line/v1"][-2:]
    assert [action for action, _ in told] == ["endpoint.bridge", "endpoint.unbridge"]
    assert [(detail["before"].get("bridged_to"), detail["after"].get("bridged_to")) for _, detail in told] == [(None, "v2"), ("v2", None)]


def audit(state_dir: Path) -> list[dict[str, Any]]:
    """The trail, oldest first."""
    with sqlite3.connect(state_dir / "gatehouse.db") as database:
        rows = database.execute("select action, subject, detail from audit order by id").fetchall()
    return [{"action": action, "object": name, "detail": json.loads(detail or "{}")} for action, name, detail in rows]


def test_rules_with_gaps_that_they_admit_are_bridged_and_the_fields_named(line: Any, publish: Publish) -> None:
    publish("2.1.0", most=1000)
    line("endpoints", "release", "line", "v2", "--version", "2.1.0", "--force")
    gap = "size above 100: becomes 'size_mm', which must be 0 to 1000"
    assert line(*BRIDGE).lines[1:3] == [
        "some values of 1 field are refused with 422, as the rules say: size",
        f"not every row of v1 (line 1.0.0) becomes a valid row, as the rules say: {gap}",
    ]
    assert line(*BRIDGE, "--json").json["proof"]["gaps"][0]["sources"] == ["size"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("", "the contract of line 2.1.0 has no rules from v1: write [upgrade.from.v1] into it, and publish and release the next version"),
        (
            '[upgrade.from.v1]\none_way = true\nrules = [{scale = "size", to = "size_mm", factor = 10}]\n',
            "the rules from v1 in the contract of line 2.1.0 are one_way: no answer of v2 becomes one of v1",
        ),
        ('[upgrade.from.v1]\nrules = [{rename = "weight", to = "size_mm"}]\n', "field 'size' goes nowhere"),
        (
            '[upgrade.from.v1]\nrules = [{scale = "size", to = "size_mm", factor = 100}]\n[upgrade.from.v1.answer]\nfactor = 0.1\n',
            "not every row of v1 (line 1.0.0) becomes a valid row",
        ),
    ],
    ids=["none", "one-way", "unfit", "gaps"],
)
def test_rules_that_do_not_do_are_refused_when_a_bridge_begins_and_when_they_are_released_under_one(
    line: Any, publish: Publish, rules: str, expected: str
) -> None:
    publish("2.1.0", rules)
    release = ("endpoints", "release", "line", "v2", "--version", "2.1.0")
    line(*BRIDGE)
    for force in ((), ("--force",)):
        error = refused(line, *release, *force)
        assert "line/v1 is bridged to line/v2, and 2.1.0 could not answer its calls" in error
        assert "gatehouse endpoints unbridge line v1 first" in error
        assert expected in error
    assert line("endpoints", "show", "line", "v2", "--json").json["stable_version"] == "2.0.0"
    assert line(*release, "--canary", "10", "--json").json["canary_version"] == "2.1.0"  # the bridge never takes it
    assert "could not answer its calls" in refused(line, "endpoints", "promote", "line", "v2")
    line("endpoints", "rollback", "line", "v2")
    line(*UNBRIDGE)
    line(*release, "--force")
    assert expected in refused(line, *BRIDGE)


@pytest.mark.parametrize(
    ("before", "to", "expected"),
    [
        ((), "v3", "no endpoint 'line/v3'; known endpoints: line/v1, line/v2"),
        ((), "v1", "line/v1 is no later version than line/v1; a bridge leads to a later one"),
        ((("endpoints", "retire", "line", "v1"),), "v2", "line/v1 is retired; to serve it again: gatehouse endpoints undeprecate line v1"),
        ((("endpoints", "retire", "line", "v2", "--force"),), "v2", "line/v2 is retired itself; a bridge leads to a version that stays"),
        (
            (("endpoints", "release", "line", "v1", "--version", "1.1.0", "--canary", "10"),),
            "v2",
            "line/v1 has a canary (1.1.0): gatehouse endpoints rollback line v1 ends it, gatehouse endpoints promote line v1 takes it",
        ),
    ],
    ids=["unknown", "itself", "retired", "to-retired", "canary"],
)
def test_what_cannot_be_bridged_is_refused(line: Any, publish: Publish, before: Any, to: str, expected: str) -> None:
    publish("1.1.0")
    for step in before:
        line(*step)
    assert expected in refused(line, *BRIDGE[:-1], to)


def test_the_other_end_of_a_bridge_cannot_end_and_the_bridged_one_releases_nothing(line: Any, publish: Publish) -> None:
    for version in ("1.1.0", "2.1.0"):
        publish(version)
    line("endpoints", "release", "line", "v1", "--version", "1.1.0")
    line(*BRIDGE)
    first = "gatehouse endpoints unbridge line v1 first, or bridge or retire that"
    ends = f"line/v1 is bridged to line/v2, whose model answers its calls: {first}"
    for command in (
        ("retire", "line", "v2"),
        ("retire", "line", "v2", "--force"),
        ("deprecate", "line", "v2", "--sunset", str(SUNSET), "--successor", "v3"),
    ):
        assert ends in refused(line, "endpoints", *command)
    own = "line/v1 is bridged to v2 and serves no version of its own: gatehouse endpoints unbridge line v1 first"
    for release in (("release", "line", "v1", "--version", "1.9.0"), ("rollback", "line", "v1"), ("rollback", "line", "v1", "--force")):
        assert own in refused(line, "endpoints", *release)
    assert own in refused(line, "endpoints", "release", "line", "v1", "--version", "1.0.0", "--canary", "10")
    line("endpoints", "deprecate", "line", "v1", "--sunset", str(SUNSET), "--successor", "v2")
    line("endpoints", "retire", "line", "v1", "--force")
    line("endpoints", "retire", "line", "v2", "--force")
    assert "line/v2 is retired itself" in refused(line, "endpoints", "undeprecate", "line", "v1")
    line("endpoints", "undeprecate", "line", "v2")
    assert line("endpoints", "undeprecate", "line", "v1").lines[0] == "line/v1 is active, with no end announced"


def test_where_the_older_model_is_gone_nothing_breaks_and_a_bridge_ends_only_with_another(
    line: Any, publish: Publish, state_dir: Path
) -> None:
    line(*BRIDGE)
    [artifact] = (state_dir / "models" / "line" / "1.0.0").glob("model.*")
    artifact.unlink()
    state_dir.chmod(0o700)
    findings = {each["part"]: each for each in line("doctor", "--json").json["findings"]}
    assert findings["line/v1"]["detail"] == "bridged to line 2.0.0, whose rules fit the contract of 1.0.0"
    assert "line 1.0.0" not in findings
    assert findings["line 2.0.0"]["state"] == "ok"
    for command in (("endpoints", "list"), ("endpoints", "show", "line", "v1"), ("models", "list")):
        line(*command)
    error = refused(line, *UNBRIDGE)
    assert "line/v1 stays bridged, since its own model is gone: line 1.0.0: model.joblib is missing" in error
    assert "gatehouse endpoints unbridge line v1 --version VERSION" in error
    assert line("endpoints", "show", "line", "v1", "--json").json["bridged_to"] == "v2"
    assert "line/v1 stays bridged: line 1.0.9" in refused(line, *UNBRIDGE, "--version", "1.0.9")
    publish("1.1.0")
    assert "serves line/v2, never line/v1" in refused(line, *UNBRIDGE, "--version", "2.0.0")
    assert line(*UNBRIDGE, "--version", "1.1.0").lines == ["line/v1 is served by line 1.1.0 again"]
    shown = line("endpoints", "show", "line", "v1", "--json").json
    assert (shown["stable_version"], shown["previous_version"], shown["bridged_to"]) == ("1.1.0", "1.0.0", None)
    assert "line/v1 is not bridged; it is served by line 1.1.0" in refused(line, *UNBRIDGE)


def test_the_doctor_names_a_bridge_that_does_not_hold(line: Any, publish: Publish, state_dir: Path) -> None:
    line(*BRIDGE)
    (state_dir / "models" / "line" / "1.0.0" / "contract.toml").unlink()
    [finding] = [each for each in line("doctor", "--json", code=1).json["findings"] if each["part"] == "line/v1"]
    assert finding["state"] == "problem"
    assert "contract.toml is missing" in finding["detail"]
    assert finding["remedy"] == "release another version of v2, or gatehouse endpoints unbridge line v1"


def test_the_next_version_of_a_bridged_model_is_published_though_its_model_is_gone(
    published: Any, estimator: Path, contract: Callable[..., Path], state_dir: Path
) -> None:
    newer = contract("pair", "v2")
    newer.write_text(newer.read_text() + "[upgrade.from.v1]\n")
    published("models", "publish", estimator, "--contract", newer)
    published("endpoints", "activate", "pair", "v2")
    published("endpoints", "bridge", "pair", "v1", "--to", "v2")
    [artifact] = (state_dir / "models" / "pair" / "1.0.0").glob("model.*")
    artifact.unlink()
    said = published("models", "publish", estimator, "--contract", contract("pair")).lines
    unbridge = "gatehouse endpoints unbridge pair v1 --version 1.0.1"
    assert said[-2:] == [
        "partners go on with v2, to which pair/v1 is bridged; nothing changes for them",
        f"to let this version serve them instead: {unbridge}",
    ]
    assert "pair/v1, active, bridged to v2" in " ".join(said)
    assert published(*unbridge.split()[1:]).lines == ["pair/v1 is served by pair 1.0.1 again"]
