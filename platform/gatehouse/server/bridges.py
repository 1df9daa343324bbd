"""What answers an endpoint that is bridged: its own contract, and behind it the model of its successor."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from gatehouse.migration.endpoint import Endpoint
from gatehouse.serving.bridged_predictor import BridgedPredictor, WayBack
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.registry import NotServable, Registry, Release, Served

LOGGER = logging.getLogger("gatehouse.releases")
C = TypeVar("C")
KEPT = 256
"""Pairs of contracts that stay bound; binding takes a millisecond, or some for wide contracts."""
Pair: TypeAlias = tuple[str, str, str]
"""Model, and the versions whose contracts are the older and the newer one; what they are published with never changes."""


class Bridges(Generic[C]):
    """Safe in any thread. Holds no model: what it made of one goes with it."""

    def __init__(self, registry: Registry[C], bind: Callable[[C, C], tuple[C, WayBack]]) -> None:
        """`bind`: of the older and the newer contract what reads and upgrades rows, and leads answers back. Raises ValueError."""
        self._registry = registry
        self._bind = bind
        self._bound: OrderedDict[Pair, tuple[C, WayBack] | str] = OrderedDict()
        """Or why they cannot be bound."""
        self._made: WeakKeyDictionary[Predictor, dict[str, Served[C]]] = WeakKeyDictionary()
        """By the newer model's predictor and the version whose contract is the older one."""

    def find(self, endpoint: Endpoint, release: Release[C]) -> Served[C] | None:
        """What answers an endpoint that goes by the contract of `release`: the stable version of its bridge's other end.

        None where that is not loaded, or does not fit.
        """
        target = self._target(endpoint)
        served = self._registry.use(endpoint.model, target.stable) if target else None
        try:
            return self.over(release, served) if served else None
        except NotServable:
            return None

    def obstacle(self, endpoint: Endpoint, release: Release[C]) -> str | None:
        """Why nothing can answer it; None where all is well, as far as is known before a model is loaded."""
        target = self._target(endpoint)
        if target is None:
            return f"it is bridged to {endpoint.model}/{endpoint.bridged_to}, which is not served"
        return self.unfit(endpoint.model, release, target)

    def unfit(self, model: str, old: Release[C], new: Release[C]) -> str | None:
        """Why the newer release cannot answer for the older one; None where it can."""
        bound = self._pair((model, old.stable, new.stable), old.contract, new.contract)
        return bound if isinstance(bound, str) else None

    def over(self, old: Release[C], served: Served[C]) -> Served[C]:
        """`served`, for calls that go by the contract of `old`. Raises NotServable."""
        made = self._made.setdefault(served.predictor, {})
        if old.stable not in made:
            made[old.stable] = self._make(old, served)
        return made[old.stable]

    def _target(self, endpoint: Endpoint) -> Release[C] | None:
        return self._registry.release(endpoint.model, endpoint.bridged_to) if endpoint.bridged_to else None

    def _make(self, old: Release[C], served: Served[C]) -> Served[C]:
        manifest = served.manifest
        bound = self._pair((manifest.model, old.stable, manifest.version), old.contract, served.contract)
        if isinstance(bound, str):
            raise NotServable(bound)
        contract, way = bound
        try:
            return replace(served, contract=contract, predictor=BridgedPredictor(served.predictor, way))
        except ValueError as error:  # never so for a version whose own predictor could be made
            raise NotServable(f"{manifest.model} {manifest.version}: {error}") from None

    def _pair(self, pair: Pair, old: C, new: C) -> tuple[C, WayBack] | str:
        bound = self._bound.get(pair)
        if bound is None:
            bound = self._bound[pair] = self._bind_now(pair, old, new)
            if len(self._bound) > KEPT:
                self._bound.popitem(last=False)
        return bound

    def _bind_now(self, pair: Pair, old: C, new: C) -> tuple[C, WayBack] | str:
        model, older, newer = pair
        try:
            return self._bind(old, new)
        except ValueError as error:
            why = str(error)
        except Exception as error:  # nothing that contracts can say may keep a server from starting, or another endpoint from being served
            LOGGER.exception("%s %s cannot be bound to %s", model, older, newer)
            why = type(error).__name__
        return f"{model} {newer} cannot answer calls by the contract of {model} {older} ({why}): release another version, or unbridge"
