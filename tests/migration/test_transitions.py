"""The steps of an endpoint's life: which there are, and what each refused one says."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from gatehouse.errors import NotKnown, Refused
from gatehouse.migration.endpoint import Brownout, Deprecation, Endpoint, EndpointState, Extension
from gatehouse.migration.transitions import Announcement, LiveCalls, deprecated, extended, retired, undeprecated, unextended

NOW = datetime(2026, 11, 21, 12, 30, 15, 250_000, UTC)
SUNSET = date(2027, 6, 30)
V1 = Endpoint("iris", "v1", "active", "1.0.0")
V2 = Endpoint("iris", "v2", "active", "2.0.0")
V3 = Endpoint("iris", "v3", "preview", "3.0.0")
DEPRECATED = replace(V1, state="deprecated", deprecation=Deprecation(NOW.replace(microsecond=0), SUNSET, "v2"))
RETIRED = replace(DEPRECATED, state="retired", retired_at=NOW)


def deprecate(endpoint: Endpoint = V1, siblings: tuple[Endpoint, ...] = (V1, V2, V3), now: datetime = NOW, **said: Any) -> Endpoint:
    return deprecated(endpoint, siblings, Announcement(**{"sunset": SUNSET, "successor": "v2", **said}), now)


def retire(endpoint: Endpoint, *live: LiveCalls, siblings: tuple[Endpoint, ...] = (), force: bool = False) -> Endpoint:
    return retired(endpoint, siblings, live, NOW, force=force)


def test_a_deprecation_says_since_when_until_when_and_what_follows() -> None:
    assert deprecate() == DEPRECATED


def test_a_deprecation_said_again_moves_the_end_and_keeps_what_is_not_said_anew() -> None:
    first = deprecate(reason="new features", link="https://partners.example/v2")
    again = deprecate(first, now=NOW.replace(year=2027), sunset=date(2027, 12, 31))
    assert first.deprecation is not None
    assert again.deprecation == replace(first.deprecation, sunset=date(2027, 12, 31))


def test_a_sunset_that_is_past_by_the_clock_can_be_moved_on() -> None:
    passed = replace(DEPRECATED, deprecation=Deprecation(NOW.replace(year=2025), date(2026, 1, 1), "v2"))
    assert passed.state_at(NOW) == "retired"
    assert deprecate(passed).state_at(NOW) == "deprecated"


def test_today_is_the_first_day_that_can_be_a_sunset() -> None:
    assert deprecate(sunset=NOW.date()).state_at(NOW) == "deprecated"
    with pytest.raises(Refused, match=r"a sunset on 2026-11-20 is past; today is 2026-11-21 \(UTC\)"):
        deprecate(sunset=date(2026, 11, 20))


def test_the_last_day_of_the_calendar_is_a_sunset_like_others() -> None:
    assert deprecate(sunset=date.max).state_at(NOW) == "deprecated"


ENDING_V2 = replace(V2, state="deprecated", deprecation=Deprecation(NOW, SUNSET, "v3"))


@pytest.mark.parametrize(
    ("siblings", "successor", "said"),
    [
        ((V1, V2), "v3", "no endpoint 'iris/v3'; known endpoints: iris/v1, iris/v2"),
        ((V1, V2), "V2", "no endpoint 'iris/V2'"),
        ((V1, Endpoint("churn", "v2", "active", "2.0.0")), "v2", "no endpoint 'iris/v2'; known endpoints: iris/v1"),
        ((V1, V2), "v1", "iris/v1 is no later version than iris/v1"),
        ((V1, replace(V1, api_version="v0")), "v0", "iris/v0 is no later version than iris/v1"),
        ((V1, replace(V2, state="retired")), "v2", "iris/v2 is retired itself"),
        ((V1, ENDING_V2), "v2", "iris/v2 is deprecated itself"),
        ((V1, replace(ENDING_V2, deprecation=Deprecation(NOW, date(2026, 1, 1), "v3"))), "v2", "iris/v2 is retired itself"),
        ((V1, V3), "v3", "iris/v3 is a preview, .* gatehouse endpoints activate iris v3"),
    ],
)
def test_a_successor_is_a_later_version_that_stays_and_that_its_callers_may_call(
    siblings: tuple[Endpoint, ...], successor: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        deprecate(siblings=siblings, successor=successor)


def test_a_missing_successor_is_not_known() -> None:
    with pytest.raises(NotKnown):
        deprecate(successor="v9")


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201])
def test_a_reason_is_one_line(reason: str) -> None:
    with pytest.raises(Refused, match="a reason is one line of 1 to 200 printable characters"):
        deprecate(reason=reason)


@pytest.mark.parametrize(
    "link",
    [
        "",
        "/v2",
        "ftp://partners.example/",
        "https://",
        "https://partners.example/a b",
        'https://partners.example/"',
        "https://partners.example/>; rel=self",
        "https://partners.example/\r\nSet-Cookie:a=b",
        "https://pärtners.example/",
        "https://user:secret@partners.example/",
        "https://partners.example:port/",
        "https://[::1/",
        "https://partners.example/" + "x" * 500,
    ],
)
def test_a_link_that_would_break_a_header_or_hold_a_password_is_refused(link: str) -> None:
    with pytest.raises(Refused, match="a link is an http"):
        deprecate(link=link)


def test_an_ordinary_link_is_taken() -> None:
    link = "https://partners.example:8443/moving/v2;a=1?from=v1&to=v2#fields"
    assert (deprecate(link=link).deprecation or Deprecation(NOW, SUNSET, "")).link == link


@pytest.mark.parametrize(("state", "said"), [("preview", "activate iris v1"), ("retired", "gatehouse endpoints undeprecate iris v1")])
def test_what_is_not_active_is_not_deprecated(state: EndpointState, said: str) -> None:
    with pytest.raises(Refused, match=said):
        deprecate(replace(V1, state=state))


def test_undeprecate_takes_all_of_it_back_also_a_retirement() -> None:
    extension = extended(DEPRECATED, "tnt_1", "acme", date(2027, 9, 30), NOW)
    assert [undeprecated(each) for each in (V1, DEPRECATED, RETIRED, extension)] == [V1] * 4
    with pytest.raises(Refused, match="iris/v3 is a preview"):
        undeprecated(V3)


def test_an_extension_is_one_tenants_and_its_day_can_be_moved() -> None:
    both = extended(extended(DEPRECATED, "tnt_2", "zeta", date(2027, 8, 31), NOW), "tnt_1", "acme", date(2027, 9, 30), NOW)
    assert both.extensions == (Extension("tnt_1", "acme", date(2027, 9, 30)), Extension("tnt_2", "zeta", date(2027, 8, 31)))
    moved = extended(both, "tnt_2", "zeta", date(2027, 12, 31), NOW)
    assert [moved.last_day(tenant) for tenant in ("tnt_1", "tnt_2", "tnt_3", None)] == [
        date(2027, 9, 30),
        date(2027, 12, 31),
        SUNSET,
        SUNSET,
    ]


def test_a_sunset_that_is_moved_behind_an_extension_holds_for_that_tenant_too() -> None:
    extension = extended(DEPRECATED, "tnt_1", "acme", date(2027, 9, 30), NOW)
    assert deprecate(extension, sunset=date(2028, 1, 1)).last_day("tnt_1") == date(2028, 1, 1)


@pytest.mark.parametrize(
    ("endpoint", "until", "said"),
    [
        (V1, date(2027, 9, 30), "iris/v1 is active; only a deprecated endpoint"),
        (RETIRED, date(2027, 9, 30), "iris/v1 is retired; only a deprecated endpoint"),
        (DEPRECATED, SUNSET, "iris/v1 answers everybody until 2027-06-30"),
        (replace(DEPRECATED, deprecation=Deprecation(NOW, date(2026, 1, 1), "v2")), date(2026, 11, 20), "2026-11-20 is past"),
    ],
)
def test_an_extension_ends_behind_the_sunset_and_not_in_the_past(endpoint: Endpoint, until: date, said: str) -> None:
    with pytest.raises(Refused, match=said):
        extended(endpoint, "tnt_1", "acme", until, NOW)


def test_an_extension_is_taken_back_with_the_tenants_brownouts_behind_the_sunset() -> None:
    late = datetime(2027, 8, 1, 10, tzinfo=UTC)
    window = Brownout("brn_1", late, late.replace(hour=11), 100, "tnt_1")
    both = extended(extended(DEPRECATED, "tnt_2", "zeta", date(2027, 8, 31), NOW), "tnt_1", "acme", date(2027, 9, 30), NOW)
    alone = unextended(replace(both, brownouts=(window,)), "acme")
    assert (alone.extensions, alone.brownouts, alone.last_day("tnt_1")) == (both.extensions[1:], (), SUNSET)
    with pytest.raises(Refused, match="iris/v1 is not extended for 'acme'; it is for zeta"):
        unextended(alone, "acme")


def test_retire_is_refused_with_each_fact_unless_it_is_forced() -> None:
    endpoint = extended(replace(DEPRECATED, model="iris", api_version="v1"), "tnt_1", "acme", date(2027, 9, 30), NOW)
    v0 = replace(DEPRECATED, api_version="v0", deprecation=Deprecation(NOW, SUNSET, "v1"))
    live = (LiveCalls("acme", 1234, datetime(2026, 11, 21, 11, tzinfo=UTC)), LiveCalls("zeta", 1, datetime(2026, 11, 15, 7, tzinfo=UTC)))
    with pytest.raises(Refused) as refusal:
        retire(endpoint, *live, siblings=(v0, endpoint, V2))
    assert str(refusal.value).splitlines() == [
        "iris/v1 is still in use:",
        "  acme: 1,234 calls in the last 7 days, the last in the hour from 2026-11-21 11:00 UTC",
        "  zeta: 1 call in the last 7 days, the last in the hour from 2026-11-15 07:00 UTC",
        "  acme was given until 2027-09-30",
        "  callers of iris/v0 are told to move to it",
        "Retire it all the same: gatehouse endpoints retire iris v1 --force",
    ]
    forced = retire(endpoint, *live, siblings=(v0, endpoint, V2), force=True)
    assert (forced.state, forced.retired_at, forced.deprecation) == ("retired", NOW.replace(microsecond=0), endpoint.deprecation)


def test_what_nobody_uses_is_retired_at_once_and_stays_so() -> None:
    done = retire(DEPRECATED)
    assert done.state_at(NOW, "tnt_1") == "retired"
    assert retire(done, LiveCalls("acme", 3, NOW)) == done
    with pytest.raises(Refused, match="iris/v3 is a preview"):
        retire(V3, force=True)
