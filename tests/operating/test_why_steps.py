"""Steps of `gatehouse why` that a small deployment does not come to: many processes, several keys, previews and peppers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.store import Tenant
from gatehouse.limits.month import month_of
from gatehouse.limits.standing_store import MonthStanding
from gatehouse.migration.endpoint import Brownout, Deprecation, Endpoint, Extension
from gatehouse.operating.tenant_limits import TenantLimits
from gatehouse.operating.why_caller import Caller, grant_step, key_step
from gatehouse.operating.why_endpoint import lifecycle_step
from gatehouse.operating.why_limits import limits_step, quota_step
from gatehouse.operating.why_load import ServingNow, load_step
from gatehouse.operating.why_step import Step
from gatehouse.principal import Plan, Rate, Scope
from gatehouse.usage.refusals_store import Refusal

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAN = Plan("slow", Rate(5, 1, 20), Rate(1000, 1, 1000), 10_000, "hard", 1000, 2**20)
IRIS = Endpoint("iris", "v1", "active", "1.0.0")
ENDING = Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=Deprecation(NOW, NOW.date(), "v2"))


def key(id: str, **members: Any) -> ApiKey:
    usual = {"scopes": frozenset({Scope.PREDICTIONS_CREATE}), "requests": None, "rows": None, "expires_at": None, "revoked_at": None}
    return ApiKey(id, "acme", "default", created_at=NOW, **(usual | members))


def refused(by: str, key_id: str, calls: int = 1, *, ago: timedelta = timedelta(0), status: int = 429) -> Refusal:
    return Refusal(status, by, key_id, calls, 0 if ago >= timedelta(minutes=1) else calls, NOW - ago)


def caller(*keys: ApiKey, **grants: frozenset[str] | None) -> Caller:
    return Caller(Tenant("ten_1", "acme", "slow", None, None, NOW), PLAN, keys, grants)


def test_a_process_that_is_ending_is_not_counted_and_all_ending_is_a_fault() -> None:
    ending = ServingNow("prc_1", "a", draining=True, no_room="disk_low")
    assert load_step(IRIS, [ending, ServingNow("prc_2", "b")]).detail == "1 process serves iris/v1"
    step = load_step(IRIS, [ending])
    assert (step.well, "the one process is ending" in step.detail) == (False, True)


@pytest.mark.parametrize(
    ("process", "said"),
    [
        (ServingNow("prc_1", "a", not_served={"iris/v1": "tampered"}), "has not loaded iris/v1 as released (tampered)"),
        (ServingNow("prc_1", "a", no_room="disk_low"), "cannot meter calls (disk_low)"),
        (ServingNow("prc_1", "a", behind_s=31.0), "is 31 s behind"),
    ],
)
def test_one_process_of_several_that_does_not_serve_is_named(process: ServingNow, said: str) -> None:
    step = load_step(IRIS, [ServingNow("prc_0", "b"), process])
    assert (step.well, f"process prc_1 on a {said}" in step.detail) == (False, True)


def test_another_endpoint_that_is_not_loaded_is_no_fault_of_this_one() -> None:
    assert load_step(IRIS, [ServingNow("prc_1", "a", not_served={"line/v1": "missing"})]).well
    assert load_step(None, [ServingNow("prc_1", "a", not_served={"line/v1": "missing"})]).well


def test_a_tenant_without_a_key_and_a_pepper_that_is_not_set_are_named() -> None:
    assert key_step(caller(), [1], NOW).remedy == "gatehouse keys create --tenant acme"
    step = key_step(caller(key("k2", pepper_version=2), key("k1", revoked_at=NOW)), [1], NOW)
    assert (step.well, "version 2 of GATEHOUSE_KEY_PEPPER" in step.detail, "of its 2 keys" in step.detail) == (False, True, True)


def test_networks_are_told_where_a_key_can_predict() -> None:
    step = key_step(caller(key("k1", networks=(ip_network("192.0.2.0/24"),))), [1], NOW)
    assert (step.well, step.detail) == (True, "in order: k1 (only from 192.0.2.0/24)")


def test_a_preview_needs_a_grant_that_names_it() -> None:
    preview = Endpoint("iris", "v2", "preview", "2.0.0")
    every = [IRIS, preview, Endpoint("iris", "v3", "preview", "3.0.0"), Endpoint("line", "v1", "active", "1.0.0")]
    step = grant_step(caller(iris=None), preview, every)
    add = "gatehouse grants add acme iris --api-version"
    assert (step.well, (step.remedy or "").split(" (")[0]) == (False, f"gatehouse grants remove acme iris && {add} v1 && {add} v2")
    changes = "(what was changed: gatehouse audit list --subject acme)"
    assert grant_step(caller(), preview, every).remedy == f"{add} v2 {changes}"
    assert grant_step(caller(), IRIS, every).remedy == f"gatehouse grants add acme iris {changes}"
    assert grant_step(caller(iris=frozenset({"v2"})), preview, every).well


def test_a_brownout_spares_who_has_moved_but_a_rehearsal_spares_nobody() -> None:
    window = Brownout("brn_1", NOW, NOW + timedelta(minutes=5))
    rehearsal = Brownout("brn_2", NOW, NOW + timedelta(minutes=5), 50, "ten_1", "k1")

    def step(brownout: Brownout, *, moved: bool, keys: tuple[str, ...] = ("k1",), at: datetime = NOW) -> Any:
        endpoint = Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=ENDING.deprecation, brownouts=(brownout,))
        return lifecycle_step(endpoint, "ten_1", "acme", keys, moved, at)

    assert not step(window, moved=False).well
    assert step(window, moved=True).well
    assert step(window, moved=False, at=NOW - timedelta(seconds=1)).well
    assert "50 of 100 calls of key k1" in step(rehearsal, moved=True).detail
    assert step(rehearsal, moved=True, keys=("k2",)).well


def test_a_sunset_that_is_past_retires_but_for_who_has_longer() -> None:
    past = NOW.date() - timedelta(days=1)
    extended = (Extension("ten_1", "acme", NOW.date()),)
    endpoint = Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=Deprecation(NOW, past, "v2"), extensions=extended)
    assert lifecycle_step(endpoint, "ten_1", "acme", (), False, NOW).well
    step = lifecycle_step(endpoint, "ten_2", "globex", (), False, NOW)
    assert (step.well, "retired since 2026-11-21" in step.detail) == (False, True)
    assert (step.remedy or "").startswith("globex calls v2 instead")


def test_a_keys_own_limit_is_what_is_to_be_raised_where_it_refuses() -> None:
    own = caller(key("k2", requests=Rate(2, 1, 2)), key("k1", requests=Rate(1, 1, 1)), key("k0"))

    def step(*refusals: Refusal, processes: int = 1, url: str = "") -> Step:
        return limits_step(own, refusals, url, processes, NOW)

    assert (step(refused("key-requests", "k1", 3)).remedy or "").endswith("gatehouse keys edit k1 --requests none")
    assert "gatehouse tenants edit acme" in (step(refused("key-requests", "k0", 3)).remedy or "")
    assert "gatehouse tenants edit acme" in (step(refused("tenant-rows", "k1")).remedy or "")
    both = step(refused("key-requests", "k1", 3), refused("key-requests", "k2", 2))
    assert "key-requests refused 5 calls in the last minute" in both.detail
    others = step(refused("quota_exhausted", "k1", 5), refused("body_timeout", "k1", status=408))
    assert (others.well, others.lately) == (True, False)
    assert "each of 4 processes lets in 1/4" in step(processes=4).detail
    assert "Redis does not decide now" in step(processes=4, url="redis://127.0.0.1:1/0").detail


def test_a_rate_refuses_until_it_has_let_one_more_in_and_is_told_of_for_a_day() -> None:
    own = caller(key("k1", requests=Rate(1, 3600, 1)), key("k2"))

    def step(by: str, key_id: str, minutes: int) -> Step:
        return limits_step(own, [refused(by, key_id, 2, ago=timedelta(minutes=minutes))], "", 1, NOW)

    held = step("key-requests", "k1", 59)
    assert (held.well, held.remedy) == (False, "let it wait for Retry-After, or give the key more: gatehouse keys edit k1 --requests none")
    assert held.detail == "key-requests (1 an hour) refused 2 calls in the last 24 hours, the last at 2026-11-22 11:01 UTC: calls get 429"
    for by, key_id, minutes in (("key-requests", "k1", 61), ("key-requests", "k2", 2), ("tenant-rows", "k1", 2)):
        over = step(by, key_id, minutes)
        assert (over.well, over.lately) == (True, True)
        assert "refused 2 calls in the last 24 hours, the last at" in over.detail
        assert over.remedy


def test_keys_that_got_401_of_late_are_named_beside_those_that_are_in_order() -> None:
    bound = key("k3", networks=(ip_network("192.0.2.0/24"),))
    keys = caller(bound, key("k2", revoked_at=NOW), key("k1"))

    def step(*refusals: Refusal, of: Caller = keys) -> Step:
        return key_step(of, [1], NOW, refusals)

    revoked, elsewhere = refused("key_revoked", "k2", 3, status=401), refused("network_not_allowed", "k3", status=401)
    found = step(elsewhere, revoked)
    assert (found.well, found.lately) == (True, True)
    assert found.detail == (
        "in order: k3 (only from 192.0.2.0/24), k1; 1 of its keys is not; "
        "1 call with key k3 got 401 in the last 24 hours, the last at 2026-11-22 12:00 UTC: from an address outside of 192.0.2.0/24; "
        "3 calls with key k2 got 401 in the last 24 hours, the last at 2026-11-22 12:00 UTC: "
        "k2 is revoked since 2026-11-22 12:00 UTC: calls get 401"
    )
    assert (found.remedy or "").endswith("gatehouse keys edit k3 --networks CIDR,… (none: from anywhere)")
    assert step(revoked).remedy == "the partner takes another of its keys, or: gatehouse keys create --tenant acme"
    assert "gatehouse keys rotate k1" in (step(refused("key_secret_rotated", "k1", status=401)).remedy or "")
    assert "POST /oauth/token" in (step(refused("token_revoked", "k1", status=401)).remedy or "")
    mended = caller(key("k3"), key("k2"), key("k1"))
    others = (refused("key_expired", "k1", status=401), refused("key-requests", "k1"), refused("key_revoked", "gone", status=401))
    for well in (step(elsewhere, revoked, of=mended), step(*others)):
        assert (well.well, well.lately, well.remedy) == (True, False, None)
    none_works = step(revoked, of=caller(key("k3", expires_at=NOW), key("k2", revoked_at=NOW)))
    assert (none_works.well, none_works.detail.split(" ")[0]) == (False, "k2")


def test_a_quota_that_has_refused_and_has_room_for_small_calls_only_is_told_of() -> None:
    def step(metered: int, ago: int | None) -> Step:
        standing = MonthStanding(metered, 0, 0, 0)
        limits = TenantLimits("acme", PLAN, (), month_of(NOW), standing, ())
        return quota_step(limits, [] if ago is None else [refused("quota_exhausted", "k1", ago=timedelta(minutes=ago))])

    small = step(9_999, 5)
    assert (small.well, small.lately, (small.remedy or "").startswith("gatehouse tenants edit acme --plan PLAN")) == (True, True, True)
    assert "1 of the 10,000 rows" in small.detail
    assert "too few for 1 call of the last 24 hours" in small.detail
    for well in (step(9_999, None), step(9_000, 5), step(0, 5)):
        assert (well.well, well.lately) == (True, False)
    assert not step(9_999, 0).well
    assert not step(10_000, None).well


def test_a_limit_that_lets_nothing_in_is_found_without_a_refusal_and_has_the_command_that_opens_it() -> None:
    shut, old = key("k1", rows=Rate(0, 1, 0)), key("k0", requests=Rate(0, 1, 0), revoked_at=NOW)
    step = limits_step(caller(shut, old), [], "", 1, NOW)
    assert (step.well, step.remedy) == (False, "gatehouse keys edit k1 --rows none")
    assert "k1 lets in no rows at all" in step.detail
    both = caller(key("k2"), shut, old)
    assert "1 of its keys lets nothing in" in limits_step(both, [], "", 1, NOW).detail
    assert limits_step(both, [refused("key-rows_closed", "k0"), refused("key-rows_closed", "k2")], "", 1, NOW).well
    assert limits_step(both, [refused("key-rows_closed", "k1")], "", 1, NOW).remedy == "gatehouse keys edit k1 --rows none"
    closed = replace(caller(key("k2"), shut), plan=replace(PLAN, requests=Rate(0, 1, 0)))
    step = limits_step(closed, [], "", 1, NOW)
    assert (step.well, "plan slow lets in no requests at all" in step.detail) == (False, True)
    assert (step.remedy or "").startswith(
        "gatehouse plans edit slow --requests RATE --requests-burst NUMBER, or gatehouse tenants edit acme --plan PLAN"
    )
    slow = replace(closed, plan=replace(PLAN, rows=Rate(5, 1, 0)))
    assert (limits_step(slow, [], "", 1, NOW).remedy or "").startswith("gatehouse plans edit slow --rows-burst NUMBER, or")
    assert limits_step(replace(closed, keys=[key("k2")], plan=replace(closed.plan, requests_mode="observe")), [], "", 1, NOW).well


def test_keys_that_have_ended_are_not_among_the_newest_that_are_asked_for() -> None:
    ended = [key(f"k{number}", revoked_at=NOW) for number in range(6)] + [key("k6", expires_at=NOW)]
    assert [each.key_id for each in caller(*ended, key("k7")).principals(NOW)] == ["k7"]
    assert [each.key_id for each in caller(*ended).principals(NOW)] == [""]
