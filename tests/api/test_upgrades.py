"""Which rules lead up from which API version, for whom; and what is said while a contract cannot be had."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from upgrade_text import CM, MM, contract, rules_text

from gatehouse.api.rows import CompiledContract
from gatehouse.api.upgrades import Upgrades
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.decode import Decoder
from gatehouse.errors import EndpointUnavailable, InvalidInput, NotFound
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.principal import Plan, Principal, Rate
from gatehouse.serving.registry import NotServable, Release

SCALE = '{scale = "length", to = "length_mm", factor = 10}'
V1, V2 = contract("v1", {"length": CM}), contract("v2", {"length": CM})
V3 = contract("v3", {"length_mm": MM}, upgrade=rules_text(SCALE) + rules_text(SCALE, old="v2"))
GROWN = contract("v1", {"length": CM, "more": CM + "\nrequired = false\ndefault = 2"})
PLAN = Plan("p", Rate(1, 1, 1), Rate(1, 1, 1), 1, "soft", 1, 1)


class Shelf:
    """What is released, and the contracts of retired versions that can still be read."""

    def __init__(self, *released: Contract, readable: tuple[Contract, ...] = ()) -> None:
        self.released = {each.api_version: each for each in released}
        self.readable = {each.api_version: each for each in readable}
        self.read: list[str] = []

    def release(self, _model: str, api_version: str) -> Any:
        found = self.released.get(api_version)
        return found and Release("1.0.0", None, CompiledContract(found, Decoder(found)))

    def read_contract(self, _model: str, api_version: str, version: str) -> CompiledContract:
        self.read.append(version)
        if api_version not in self.readable:
            raise NotServable("gone")
        found = self.readable[api_version]
        return CompiledContract(found, Decoder(found))


def endpoint(api_version: str, state: Any = "active") -> Endpoint:
    return Endpoint("pair", api_version, state, f"{api_version[1:]}.0.0")


def caller(versions: frozenset[str] | None) -> Principal:
    return Principal("tnt_1", "acme", "key", frozenset(), PLAN, grants={"pair": versions})


def upgrades(shelf: Shelf, *endpoints: Endpoint) -> Upgrades:
    return Upgrades(Endpoints("https://a.example", lambda: datetime.now(UTC), endpoints), shelf)  # type: ignore[arg-type]


ALL = (endpoint("v1"), endpoint("v2"), endpoint("v3"))


def test_where_several_versions_lead_up_the_caller_must_say_which() -> None:
    found = upgrades(Shelf(V1, V2, V3), *ALL)
    with pytest.raises(InvalidInput) as refused:
        found.only_older(caller(None), "pair", "v3")
    (error,) = refused.value.members["errors"]
    assert (error["parameter"], error["allowed"]) == ("from", ["v1", "v2"])
    assert found.find(caller(None), "pair", "v2", "v3")[1].upgrade.old == V2


def test_only_versions_that_the_caller_may_know_of_are_counted() -> None:
    found = upgrades(Shelf(V1, V2, V3), ALL[0], replace(ALL[1], state="preview"), ALL[2])
    assert found.only_older(caller(None), "pair", "v3") == "v1"
    assert found.only_older(caller(frozenset({"v1"})), "pair", "v3") == "v1"
    with pytest.raises(NotFound):
        found.only_older(caller(frozenset({"v9"})), "pair", "v3")
    with pytest.raises(NotFound):
        found.only_older(caller(None), "pair", "v1")


def test_a_pair_is_bound_once_and_a_retired_contract_read_once() -> None:
    shelf = Shelf(V3, readable=(V1,))
    found = upgrades(shelf, replace(ALL[0], state="retired"), ALL[2])
    first, again = (found.find(caller(None), "pair", "v1", "v3")[1] for _ in range(2))
    assert first is again
    assert first.facts is again.facts
    assert shelf.read == ["1.0.0"]


@pytest.mark.parametrize(
    ("shelf", "states", "error", "reason"),
    [
        (Shelf(V1), ("active", "active"), EndpointUnavailable, "not_served"),
        (Shelf(V1), ("active", "retired"), NotFound, "successor_retired"),
        (Shelf(V3), ("retired", "active"), EndpointUnavailable, "contract_unreadable"),
        (Shelf(GROWN, V3), ("active", "active"), EndpointUnavailable, "rules_do_not_fit"),
        (Shelf(V1, replace(V3, upgrades=())), ("active", "active"), NotFound, "no_rules"),
    ],
)
def test_what_cannot_be_had_is_said_as_what_it_is(shelf: Shelf, states: tuple[Any, Any], error: type[Exception], reason: str) -> None:
    found = upgrades(shelf, endpoint("v1", states[0]), endpoint("v3", states[1]))
    with pytest.raises(error) as raised:
        found.find(caller(None), "pair", "v1", "v3")
    assert raised.value.reason == reason  # type: ignore[attr-defined]
    if error is EndpointUnavailable:
        assert dict(raised.value.headers)["Retry-After"] == "5"  # type: ignore[attr-defined]
