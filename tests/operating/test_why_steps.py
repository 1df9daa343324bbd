"""Steps of `gatehouse why` that a small deployment does not come to: many processes, several keys, previews and peppers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.store import Tenant
from gatehouse.migration.endpoint import Brownout, Deprecation, Endpoint, Extension
from gatehouse.operating.why_caller import Caller, grant_step, key_step
from gatehouse.operating.why_endpoint import lifecycle_step
from gatehouse.operating.why_limits import limits_step
from gatehouse.operating.why_load import ServingNow, load_step
from gatehouse.operating.why_step import Step
from gatehouse.principal import Plan, Rate, Scope

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAN = Plan("slow", Rate(5, 1, 20), Rate(1000, 1, 1000), 10_000, "hard", 1000, 2**20)
IRIS = Endpoint("iris", "v1", "active", "1.0.0")
ENDING = Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=Deprecation(NOW, NOW.date(), "v2"))


def key(id: str, **members: Any) -> ApiKey:
    usual = {"scopes": frozenset({Scope.PREDICTIONS_CREATE}), "requests": None, "rows": None, "expires_at": None, "revoked_at": None}
    return ApiKey(id, "acme", "default", created_at=NOW, **(usual | members))


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
    assert (step.well, step.detail) == (True, "k1 (only from 192.0.2.0/24) can predict")


def test_a_preview_needs_a_grant_that_names_it() -> None:
    preview = Endpoint("iris", "v2", "preview", "2.0.0")
    every = [IRIS, preview, Endpoint("iris", "v3", "preview", "3.0.0"), Endpoint("line", "v1", "active", "1.0.0")]
    step = grant_step(caller(iris=None), preview, every)
    add = "gatehouse grants add acme iris --api-version"
    assert (step.well, (step.remedy or "").split(" (")[0]) == (False, f"gatehouse grants remove acme iris && {add} v1 && {add} v2")
    assert grant_step(caller(), preview, every).remedy == f"{add} v2"
    assert grant_step(caller(), IRIS, every).remedy == "gatehouse grants add acme iris"
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

    def step(refusals: dict[str, dict[str, int]], processes: int = 1, url: str = "") -> Step:
        return limits_step(own, refusals, url, processes, NOW)

    assert (step({"key-requests": {"k1": 3}}).remedy or "").endswith("gatehouse keys edit k1 --requests none")
    assert "gatehouse tenants edit acme" in (step({"key-requests": {"k0": 3}}).remedy or "")
    assert "gatehouse tenants edit acme" in (step({"tenant-rows": {"k1": 1}}).remedy or "")
    assert "key-requests refused 5 calls" in step({"key-requests": {"k1": 3, "k2": 2}}).detail
    assert step({"quota_exhausted": {"k1": 5}, "body_timeout": {"k1": 1}}).well
    assert "each of 4 processes lets in 1/4" in step({}, 4).detail
    assert "Redis does not decide now" in step({}, 4, "redis://127.0.0.1:1/0").detail


def test_a_limit_that_lets_nothing_in_is_found_without_a_refusal_and_has_the_command_that_opens_it() -> None:
    shut, old = key("k1", rows=Rate(0, 1, 0)), key("k0", requests=Rate(0, 1, 0), revoked_at=NOW)
    step = limits_step(caller(shut, old), {}, "", 1, NOW)
    assert (step.well, step.remedy) == (False, "gatehouse keys edit k1 --rows none")
    assert "k1 lets in no rows at all" in step.detail
    both = caller(key("k2"), shut, old)
    assert "1 of its keys lets nothing in" in limits_step(both, {}, "", 1, NOW).detail
    assert limits_step(both, {"key-rows_closed": {"k0": 1, "k2": 1}}, "", 1, NOW).well
    assert limits_step(both, {"key-rows_closed": {"k1": 1}}, "", 1, NOW).remedy == "gatehouse keys edit k1 --rows none"
    closed = replace(caller(key("k2"), shut), plan=replace(PLAN, requests=Rate(0, 1, 0)))
    step = limits_step(closed, {}, "", 1, NOW)
    assert (step.well, "plan slow lets in no requests at all" in step.detail) == (False, True)
    assert (step.remedy or "").startswith(
        "gatehouse plans edit slow --requests RATE --requests-burst NUMBER, or gatehouse tenants edit acme --plan PLAN"
    )
    slow = replace(closed, plan=replace(PLAN, rows=Rate(5, 1, 0)))
    assert (limits_step(slow, {}, "", 1, NOW).remedy or "").startswith("gatehouse plans edit slow --rows-burst NUMBER, or")
    assert limits_step(replace(closed, keys=[key("k2")], plan=replace(closed.plan, requests_mode="observe")), {}, "", 1, NOW).well


def test_keys_that_have_ended_are_not_among_the_newest_that_are_asked_for() -> None:
    ended = [key(f"k{number}", revoked_at=NOW) for number in range(6)] + [key("k6", expires_at=NOW)]
    assert [each.key_id for each in caller(*ended, key("k7")).principals(NOW)] == ["k7"]
    assert [each.key_id for each in caller(*ended).principals(NOW)] == [""]
