"""Which version scores whose calls too, and when that is worked out anew."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gatehouse.migration.endpoint import Deprecation, Endpoint, Shadow
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.server.shadow_queue import Answered
from gatehouse.server.shadow_targets import Targets, targets_of
from gatehouse.server.shadow_wire import Pair

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
V1 = Endpoint("iris", "v1", "active", "1.2.0", shadow=Shadow("v2", 100))
V2 = Endpoint("iris", "v2", "preview", "2.0.3")
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


def test_they_are_worked_out_anew_only_when_something_changed() -> None:
    now = NOW
    endpoints = Endpoints("https://models.example", lambda: now, [replace(V1, canary_version="1.3.0"), V2])
    targets = Targets(endpoints)
    assert not targets
    assert targets.look()
    stable, canary = Pair("iris", "v1", "1.2.0", "v2", "2.0.3"), Pair("iris", "v1", "1.3.0", "v2", "2.0.3")
    assert (bool(targets), targets.stable, targets.pairs) == (True, [stable], {stable, canary})
    assert targets.pair(Answered("iris", "v1", "1.2.0")) == stable
    assert targets.pair(Answered("iris", "v2", "2.0.3")) is None
    now += timedelta(days=400)
    assert not targets.look()
    endpoints.replace([V1, replace(V2, stable_version="2.1.0")])
    assert targets.look()
    assert targets.pairs == {Pair("iris", "v1", "1.2.0", "v2", "2.1.0")}
    assert not targets.look()


def test_a_sunset_ends_a_shadow_without_any_change() -> None:
    now = NOW
    ends = replace(V2, state="deprecated", deprecation=Deprecation(NOW, date(2026, 11, 21), "v3"))
    targets = Targets(Endpoints("https://models.example", lambda: now, [V1, ends]))
    assert targets.look()
    assert targets
    now = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)
    assert not targets.look()
    now += timedelta(seconds=1)
    assert targets.look()
    assert not targets
    assert not targets.look()
