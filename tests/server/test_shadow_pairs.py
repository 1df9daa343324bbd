"""Which version scores whose calls too, and how long one that fails is left alone."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from gatehouse.migration.endpoint import Deprecation, Endpoint, Shadow
from gatehouse.server.shadow_pairs import LONGEST_PAUSE_S, Pairs, targets_of
from gatehouse.server.shadow_wire import Pair

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
V1 = Endpoint("iris", "v1", "active", "1.2.0", shadow=Shadow("v2", 100))
V2 = Endpoint("iris", "v2", "preview", "2.0.3")
PAIR = Pair("iris", "v1", "1.2.0", "v2", "2.0.3")
OVER = Deprecation(NOW, date(2026, 11, 20), "v3")


@pytest.mark.parametrize(
    ("endpoints", "target"),
    [
        ([V1, V2], ("v2", "2.0.3")),
        ([V1, replace(V2, stable_version="2.1.0")], ("v2", "2.1.0")),
        ([replace(V1, shadow=Shadow("1.3.0", 5)), V2], ("v1", "1.3.0")),
        ([replace(V1, shadow=Shadow("1.2.0", 5)), V2], None),
        ([V1], None),
        ([V1, replace(V2, state="retired")], None),
        ([V1, replace(V2, state="deprecated", deprecation=OVER)], None),
        ([V1, replace(V2, bridged_to="v3")], None),
        ([replace(V1, bridged_to="v2"), V2], None),
        ([replace(V1, state="retired"), V2], None),
        ([replace(V1, shadow=None), V2], None),
    ],
)
def test_the_other_version_is_what_serves_now(endpoints: list[Endpoint], target: tuple[str, str] | None) -> None:
    assert targets_of(endpoints, NOW) == ({} if target is None else {("iris", "v1"): target})


def test_each_failure_in_a_row_makes_the_pause_longer_and_a_success_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    pairs = Pairs(lambda: now)
    pauses = []
    for _ in range(9):
        pairs.note_ready(PAIR)
        pairs.note_failed(PAIR, "it is\nbroken")
        assert (pairs.ready(PAIR), pairs.paused(PAIR)) == (False, True)
        begun = now
        while pairs.paused(PAIR):
            now += 1.0
        pauses.append(now - begun)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, LONGEST_PAUSE_S]
    assert "it is?broken" in caplog.text
    pairs.note_scored(PAIR)
    pairs.note_failed(PAIR, "again")
    now += 5.0
    assert not pairs.paused(PAIR)


def test_what_is_not_wanted_any_more_is_forgotten() -> None:
    pairs = Pairs(lambda: 0.0)
    pairs.note_failed(PAIR, "broken")
    pairs.keep(set())
    assert not pairs.paused(PAIR)
