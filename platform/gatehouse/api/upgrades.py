"""Which rules lead from one API version of a model up to another, by the contracts that are released; and who may know of both."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gatehouse.api.rows import CompiledContract
from gatehouse.contracts.contract import ContractInvalid
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade, rules_from
from gatehouse.contracts.upgrade_guide import guide_facts
from gatehouse.errors import EndpointUnavailable, InvalidInput, NotFound
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints, visible
from gatehouse.principal import Principal
from gatehouse.serving.registry import NotServable, Registry

KEPT = 64
"""Pairs that stay bound: to prove and describe their rules takes some milliseconds, of wide contracts many."""


@dataclass(frozen=True)
class Pair:
    """Two contracts with rules between them."""

    reads: CompiledContract
    """The older one."""
    upgrade: Upgrade

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a guide is made from."""
        return guide_facts(self.upgrade)


class Upgrades:
    """Safe in any thread; not for the event loop's, since the contract of a retired version is read from its file."""

    def __init__(self, endpoints: Endpoints, registry: Registry[CompiledContract]) -> None:
        self._endpoints = endpoints
        self._registry = registry
        self._pairs: OrderedDict[tuple[str, str], Pair] = OrderedDict()
        self._retired: dict[tuple[str, str], CompiledContract] = {}
        """By model and version, whose contract never changes."""

    def find(self, principal: Principal, model: str, old: str, new: str) -> tuple[Endpoint, Pair]:
        """The older endpoint, and the rules. Raises NotFound (unknown, not granted and without rules are the same), EndpointUnavailable."""
        older, newer = self._endpoints.get(model, old), self._endpoints.get(model, new)
        if older is None or newer is None or not may_know(principal, older, newer):
            raise NotFound(reason="not_granted")
        contract = self._newer(newer)
        if rules_from(contract.contract, old) is None:
            raise NotFound(reason="no_rules")
        return older, self._pair(self._older(older), contract)

    def only_older(self, principal: Principal, model: str, new: str) -> str:
        """The one API version that leads up, as far as this caller may know. Raises NotFound, EndpointUnavailable, InvalidInput."""
        newer = self._endpoints.get(model, new)
        siblings = [each for each in self._endpoints.all() if each.model == model and newer and may_know(principal, each, newer)]
        if newer is None or not siblings:
            raise NotFound(reason="not_granted" if newer else "no_such_endpoint")
        contract = self._newer(newer).contract
        known = [each.api_version for each in siblings if rules_from(contract, each.api_version) is not None]
        if not known:
            raise NotFound(reason="no_rules")
        if len(known) > 1:
            detail = f"must be one of {', '.join(known)}, the API version that the body is of"
            raise InvalidInput(members={"errors": [{"parameter": "from", "code": "missing", "detail": detail, "allowed": known}]})
        return known[0]

    def _newer(self, endpoint: Endpoint) -> CompiledContract:
        release = self._registry.release(endpoint.model, endpoint.api_version)
        if release is not None:
            return release.contract
        if endpoint.state == "retired":
            raise NotFound(reason="successor_retired")
        raise EndpointUnavailable.because("not_served")

    def _older(self, endpoint: Endpoint) -> CompiledContract:
        release = self._registry.release(endpoint.model, endpoint.api_version)
        if release is not None:
            return release.contract
        name = (endpoint.model, endpoint.stable_version)
        if name not in self._retired:
            try:
                self._retired[name] = self._registry.read_contract(endpoint.model, endpoint.api_version, endpoint.stable_version)
            except NotServable:
                raise EndpointUnavailable.because("contract_unreadable") from None
        return self._retired[name]

    def _pair(self, old: CompiledContract, new: CompiledContract) -> Pair:
        name = (old.contract.digest, new.contract.digest)
        pair = self._pairs.get(name)
        if pair is None:
            try:
                pair = Pair(old, bind_upgrade(old.contract, new.contract, "contract.toml"))
            except ContractInvalid:  # rules are proved when they are published; here the older contract has grown since
                raise EndpointUnavailable.because("rules_do_not_fit") from None
            self._pairs[name] = pair
            if len(self._pairs) > KEPT:
                self._pairs.popitem(last=False)
        return pair


def may_know(principal: Principal, old: Endpoint, new: Endpoint) -> bool:
    """Whether a grant covers one of two API versions, and each of them that is a preview."""
    sees = {endpoint.name: visible(endpoint, principal) for endpoint in (old, new)}
    return any(sees.values()) and all(sees[endpoint.name] for endpoint in (old, new) if endpoint.state == "preview")
