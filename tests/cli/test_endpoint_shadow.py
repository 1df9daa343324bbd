"""`gatehouse endpoints shadow | unshadow`: what is said and shown, and what is refused with the facts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from line_versions import GROWN, NEWER, TOML, publish_line, publish_newer
from stage import ACTOR

from gatehouse.db.session import open_database
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
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}")
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
    assert line("endpoints", "unshadow", "line", "v1").lines == ["line/v1 is scored by line 1.0.0 alone"]
    assert line("endpoints", "show", "line", "v1", "--json").json["shadow"] is None
    assert "has no shadow" in line("endpoints", "unshadow", "line", "v1", code=1).error


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
