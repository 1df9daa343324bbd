"""Which brownouts may be planned and rehearsed, of what is refused each with its facts."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gatehouse.errors import Refused
from gatehouse.migration.brownout import MOST_PLANNED, Wish, planned, rehearsed, within_life
from gatehouse.migration.endpoint import Brownout, Deprecation, Endpoint, Extension

NOW = datetime(2027, 4, 29, 9, 30, tzinfo=UTC)
START = datetime(2027, 5, 1, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACTIVE = Endpoint("iris", "v1", "active", "1.0.0")
ENDING = replace(ACTIVE, state="deprecated", deprecation=Deprecation(NOW - timedelta(days=30), date(2027, 6, 30), "v2"))
LONGER = replace(ENDING, extensions=(Extension("ten_acme", "acme", date(2027, 9, 30)),))
SUNSET_ENDS = datetime(2027, 7, 1, tzinfo=UTC)


def wish(starts_at: datetime = START, minutes: int = 10, percent: int = 100, tenant_id: str | None = None) -> Wish:
    return Wish(starts_at, minutes, percent, tenant_id)


def plan(endpoint: Endpoint, asked: Wish, *, force: bool = False) -> Brownout:
    return planned(endpoint, asked, "brn_new", NOW, force=force)


def refusal(endpoint: Endpoint, asked: Wish, *, force: bool = False) -> str:
    with pytest.raises(Refused) as refused:
        plan(endpoint, asked, force=force)
    return str(refused.value)


def test_a_window_is_as_it_was_asked_for() -> None:
    assert plan(ENDING, wish(percent=20, tenant_id="ten_1")) == Brownout("brn_new", START, START + 10 * MINUTE, 20, "ten_1")
    assert plan(ENDING, wish(minutes=60)).ends_at == START + timedelta(hours=1)


def test_sooner_than_24_hours_must_be_forced_and_the_past_cannot_be() -> None:
    day = timedelta(days=1)
    assert plan(ENDING, wish(NOW + day)).starts_at == NOW + day
    assert refusal(ENDING, wish(NOW + day - MINUTE)) == "callers are told 24 hours before a brownout; for one that begins sooner: --force"
    assert plan(ENDING, wish(NOW), force=True).starts_at == NOW
    assert refusal(ENDING, wish(NOW - MINUTE), force=True) == "2027-04-29 09:29 UTC is past; it is 2027-04-29 09:30 UTC"


def test_what_no_calendar_holds_is_refused_as_everything_else() -> None:
    last = datetime(9999, 12, 31, 23, 58, tzinfo=UTC)
    assert refusal(ENDING, wish(minutes=10**10)) == "a brownout lasts 1 to 60 minutes"
    assert refusal(ENDING, wish(last)) == "iris/v1 ends before the calendar does; a brownout comes before that"


@pytest.mark.parametrize("state", ["preview", "active", "retired"])
def test_only_a_deprecated_endpoint_can_be_browned_out(state: str) -> None:
    endpoint = replace(ENDING, state=state)
    said = f"iris/v1 is {state}; only an endpoint that is deprecated and still answers can be browned out"
    assert refusal(endpoint, wish()) == said
    with pytest.raises(Refused) as refused:
        rehearsed(endpoint, wish(tenant_id="ten_1"), "key", "brn_new", NOW)
    assert str(refused.value) == said


@pytest.mark.parametrize(("minutes", "percent"), [(0, 100), (61, 100), (-1, 100), (10, 0), (10, 101)])
def test_lengths_and_shares_have_bounds(minutes: int, percent: int) -> None:
    said = "a brownout takes 1 to 100 percent of the calls" if minutes == 10 else "a brownout lasts 1 to 60 minutes"
    assert refusal(ENDING, wish(minutes=minutes, percent=percent)) == said


def test_it_is_over_before_the_endpoint_ends_for_those_whom_it_is_for() -> None:
    last = SUNSET_ENDS - 11 * MINUTE
    assert plan(ENDING, wish(last)).starts_at == last
    past = "iris/v1 ends on 2027-06-30 (UTC); a brownout comes before that"
    assert refusal(ENDING, wish(SUNSET_ENDS - 9 * MINUTE)) == past
    assert refusal(LONGER, wish(SUNSET_ENDS, tenant_id="ten_other")) == past
    assert plan(LONGER, wish(SUNSET_ENDS)).tenant_id is None
    assert plan(LONGER, wish(SUNSET_ENDS, tenant_id="ten_acme")).tenant_id == "ten_acme"


@pytest.mark.parametrize(
    ("theirs", "ours", "shared"), [(None, None, True), (None, "a", True), ("a", None, True), ("a", "a", True), ("a", "b", False)]
)
def test_two_windows_of_one_tenant_never_overlap(theirs: str | None, ours: str | None, shared: bool) -> None:
    there = Brownout("brn_old", START, START + 10 * MINUTE, 100, theirs)
    endpoint = replace(ENDING, brownouts=(there,))
    for start in (START, START + 9 * MINUTE, START - 9 * MINUTE):
        if shared:
            said = "it would overlap brn_old (2027-05-01 10:00 to 10:10 UTC): gatehouse endpoints cancel-brownout brn_old"
            assert refusal(endpoint, wish(start, tenant_id=ours)) == said
        else:
            plan(endpoint, wish(start, tenant_id=ours))
    for start in (START + 10 * MINUTE, START - 10 * MINUTE):
        plan(endpoint, wish(start, tenant_id=ours))


def test_a_rehearsal_is_in_nobodys_way() -> None:
    rehearsal = Brownout("brn_old", START, START + 10 * MINUTE, 100, "ten_1", "key")
    assert plan(replace(ENDING, brownouts=(rehearsal,)), wish()).starts_at == START


def test_there_are_so_many_at_a_time() -> None:
    many = tuple(Brownout(f"brn_{n}", START + n * 20 * MINUTE, START + (n * 20 + 10) * MINUTE) for n in range(MOST_PLANNED))
    assert plan(replace(ENDING, brownouts=many[1:]), wish())
    full = refusal(replace(ENDING, brownouts=many), wish(START + 10 * MINUTE))
    assert full == "iris/v1 has 100 brownouts planned already: gatehouse endpoints brownouts iris v1"


def test_a_rehearsal_begins_now_and_is_of_one_key() -> None:
    asked = wish(NOW, 30, 50, "ten_1")
    assert rehearsed(ENDING, asked, "key", "brn_new", NOW) == Brownout("brn_new", NOW, NOW + 30 * MINUTE, 50, "ten_1", "key")
    for minutes in (0, 31):
        with pytest.raises(Refused, match="a brownout lasts 1 to 30 minutes"):
            rehearsed(ENDING, wish(NOW, minutes), "key", "brn_new", NOW)


def test_there_is_nothing_to_rehearse_behind_the_sunset_but_for_the_extended() -> None:
    with pytest.raises(Refused, match="iris/v1 is retired"):
        rehearsed(LONGER, wish(tenant_id="ten_1"), "key", "brn_new", SUNSET_ENDS)
    assert rehearsed(LONGER, wish(tenant_id="ten_acme"), "key", "brn_new", SUNSET_ENDS).starts_at == SUNSET_ENDS


def test_windows_behind_the_end_are_not_within_the_endpoints_life() -> None:
    ends = SUNSET_ENDS - timedelta(microseconds=1)
    ours, late, extended, rehearsal = (
        Brownout("brn_1", ends - MINUTE, ends, 100, "ten_other"),
        Brownout("brn_2", ends, ends + MINUTE, 100, "ten_other"),
        Brownout("brn_3", ends, ends + MINUTE, 100, "ten_acme"),
        Brownout("brn_4", ends, ends + MINUTE, 100, "ten_other", "key"),
    )
    windows = (ours, late, extended, rehearsal)
    assert within_life(replace(LONGER, brownouts=windows)) == (ours, extended, rehearsal)
    assert within_life(replace(ENDING, brownouts=windows)) == (ours, rehearsal)
    assert within_life(replace(ACTIVE, brownouts=windows)) == windows
