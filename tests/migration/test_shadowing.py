"""Shadows begun and ended: what may be, and each thing that may not be, with its remedy."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlmodel import col, select

from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable
from gatehouse.errors import NotKnown, Refused
from gatehouse.migration.endpoint import Deprecation, Endpoint, Shadow
from gatehouse.migration.life_store import change_life
from gatehouse.migration.shadowing import other_version, shadowed, unshadowed
from gatehouse.migration.store import create_endpoint, named_endpoint

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALICE = Actor("os-user:alice", "cli")
V1 = Endpoint("iris", "v1", "active", "1.2.0")
V2 = Endpoint("iris", "v2", "preview", "2.0.3")
V3 = Endpoint("iris", "v3", "active", "3.0.0")
ALL = [V1, V2, V3]


@pytest.mark.parametrize(("wanted", "scores"), [("v2", "2.0.3"), ("v3", "3.0.0"), ("1.3.0", "1.3.0"), ("1.1.0", "1.1.0")])
def test_a_later_api_version_or_another_version_of_its_own_may_score_too_also_as_a_preview(wanted: str, scores: str) -> None:
    assert shadowed(V1, ALL, wanted, 10, NOW).shadow == Shadow(wanted, 10)
    assert other_version(V1, ALL, wanted, NOW) == scores


def test_a_shadow_is_changed_and_ended() -> None:
    begun = shadowed(shadowed(V1, ALL, "v2", 100, NOW), ALL, "1.3.0", 1, NOW)
    assert begun == replace(V1, shadow=Shadow("1.3.0", 1))
    assert unshadowed(begun) == V1
    with pytest.raises(Refused, match="has no shadow"):
        unshadowed(V1)


@pytest.mark.parametrize(
    ("endpoint", "all_", "wanted", "percent", "words"),
    [
        (V1, ALL, "v2", 0, "gatehouse endpoints unshadow iris v1"),
        (V1, ALL, "v2", 101, "1 to 100"),
        (V1, ALL, "v1", 5, "its own shadow"),
        (V1, ALL, "1.2.0", 5, "is served by 1.2.0"),
        (V1, ALL, "2.0.3", 5, "--with v2"),
        (V1, ALL, "banana", 5, "an API version such as v2"),
        (V2, ALL, "v1", 5, "is older than iris/v2"),
        (replace(V1, state="retired"), ALL, "v2", 5, "iris/v1 is retired"),
        (replace(V1, state="deprecated", deprecation=Deprecation(NOW, date(2026, 11, 20), "v2")), ALL, "v2", 5, "iris/v1 is retired"),
        (V1, [V1, replace(V2, state="retired")], "v2", 5, "iris/v2 is retired"),
        (replace(V1, bridged_to="v2"), ALL, "v2", 5, "gatehouse endpoints unbridge iris v1"),
        (V1, [V1, replace(V2, bridged_to="v3"), V3], "v2", 5, "--with v3"),
    ],
)
def test_what_cannot_be_shadowed_is_refused_with_the_remedy(
    endpoint: Endpoint, all_: list[Endpoint], wanted: str, percent: int, words: str
) -> None:
    with pytest.raises(Refused) as refusal:
        shadowed(endpoint, all_, wanted, percent, NOW)
    assert words in str(refusal.value)


def test_an_api_version_that_is_not_there_is_not_known() -> None:
    with pytest.raises(NotKnown, match="iris/v9"):
        shadowed(V1, ALL, "v9", 5, NOW)


def test_a_shadow_is_stored_and_audited_and_taken_back(database: Database) -> None:
    with database.write() as session:
        create_endpoint(session, ALICE, "iris", "1.0.0")
        create_endpoint(session, ALICE, "iris", "2.0.0")
        change_life(session, ALICE, "shadow", "iris", "v1", lambda seen, all_: shadowed(seen, all_, "v2", 40, NOW))
    with database.read() as session:
        assert named_endpoint(session, "iris", "v1").shadow == Shadow("v2", 40)
        said = session.exec(select(AuditTable).order_by(col(AuditTable.id))).all()[-1]
        assert (said.action, json.loads(said.detail)["after"]["shadow"]) == ("endpoint.shadow", "40 % by v2")
    with database.write() as session:
        change_life(session, ALICE, "unshadow", "iris", "v1", lambda seen, _all: unshadowed(seen))
    with database.read() as session:
        assert named_endpoint(session, "iris", "v1").shadow is None
