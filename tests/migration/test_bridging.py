"""Which endpoint may be bridged to which: no chain, no cycle, and only to one that stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gatehouse.errors import NotKnown, Refused
from gatehouse.migration.bridging import bridged, bridges_to, check_leads_nowhere, check_own_model, check_still_leads, unbridged
from gatehouse.migration.endpoint import Deprecation, Endpoint, EndpointState, Shadow

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def endpoint(number: int, state: EndpointState = "active", bridged_to: str | None = None) -> Endpoint:
    return Endpoint("iris", f"v{number}", state, f"{number}.0.0", bridged_to=bridged_to)


ALL = [endpoint(1), endpoint(2), endpoint(3)]


def test_a_bridge_leads_to_a_later_version_and_ends_the_shadow() -> None:
    before = replace(ALL[0], shadow=Shadow("v2", 100))
    made = bridged(before, [before, *ALL[1:]], "v3", NOW)
    assert (made.bridged_to, made.shadow, made.stable_version) == ("v3", None, "1.0.0")
    assert bridged(made, [made, *ALL[1:]], "v2", NOW).bridged_to == "v2"
    assert replace(unbridged(made), shadow=before.shadow) == before


def test_bridges_neither_follow_one_another_nor_lead_back() -> None:
    one, two, three = endpoint(1, bridged_to="v2"), endpoint(2), endpoint(3)
    with pytest.raises(Refused, match="iris/v2 answers the calls of iris/v1, and bridges do not follow one another"):
        bridged(two, [one, two, three], "v3", NOW)
    with pytest.raises(Refused, match="iris/v2 is bridged to v3 itself: bridge iris/v1 to v3"):
        bridged(endpoint(1), [endpoint(1), endpoint(2, bridged_to="v3"), three], "v2", NOW)
    for to in ("v1", "v2"):
        with pytest.raises(Refused, match="is no later version than iris/v2"):
            bridged(endpoint(2), ALL, to, NOW)
    with pytest.raises(NotKnown):
        bridged(endpoint(1), [*ALL, Endpoint("other", "v4", "active", "4.0.0")], "v4", NOW)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (endpoint(2, "preview"), "iris/v2 is a preview, .*: gatehouse endpoints activate iris v2 first"),
        (endpoint(2, "retired"), "iris/v2 is retired itself"),
        (
            replace(endpoint(2, "deprecated"), deprecation=Deprecation(NOW, (NOW + timedelta(days=9)).date(), "v3")),
            "iris/v2 is deprecated itself",
        ),
        (
            replace(endpoint(2, "deprecated"), deprecation=Deprecation(NOW, (NOW - timedelta(days=1)).date(), "v3")),
            "iris/v2 is retired itself",
        ),
    ],
    ids=["preview", "retired", "deprecated", "past-its-sunset"],
)
def test_what_a_bridge_leads_to_must_stay(target: Endpoint, expected: str) -> None:
    with pytest.raises(Refused, match=expected):
        bridged(endpoint(1), [endpoint(1), target, endpoint(3)], "v2", NOW)
    one = endpoint(1, "retired", bridged_to="v2")
    with pytest.raises(Refused, match=expected):
        check_still_leads(one, [one, target], NOW)


def test_what_is_retired_or_past_its_sunset_is_not_bridged() -> None:
    past = replace(endpoint(1, "deprecated"), deprecation=Deprecation(NOW, (NOW - timedelta(days=1)).date(), "v2"))
    for each in (endpoint(1, "retired"), past):
        with pytest.raises(Refused, match="iris/v1 is retired; to serve it again: gatehouse endpoints undeprecate iris v1"):
            bridged(each, [each, *ALL[1:]], "v2", NOW)


def test_only_bridges_that_still_answer_hold_their_other_end() -> None:
    one, other = endpoint(1, bridged_to="v2"), Endpoint("pair", "v1", "active", "1.0.0", bridged_to="v2")
    assert bridges_to(ALL[1], [one, other, *ALL[1:]]) == [one]
    with pytest.raises(Refused, match="gatehouse endpoints unbridge iris v1 first"):
        check_leads_nowhere(ALL[1], [one, other, *ALL[1:]])
    for free in (endpoint(1, "retired", bridged_to="v2"), endpoint(1, bridged_to="v3"), endpoint(1), other):
        check_leads_nowhere(ALL[1], [free, *ALL[1:]])


def test_a_bridged_endpoint_has_no_release_of_its_own() -> None:
    check_own_model(endpoint(1))
    with pytest.raises(Refused, match="unbridge iris v1 first"):
        check_own_model(endpoint(1, bridged_to="v2"))
    with pytest.raises(Refused, match=r"iris/v1 is not bridged; it is served by iris 1\.0\.0"):
        unbridged(endpoint(1))
