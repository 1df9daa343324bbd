"""What is loaded of a release, in a thread of its own; nothing is switched here."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from gatehouse.migration.endpoint import Endpoint
from gatehouse.server.bridges import Bridges
from gatehouse.serving.registry import NotServable, Registry, Release, Served

C = TypeVar("C")


class Answering(NamedTuple):
    """All of an endpoint that decides what is loaded for it."""

    retired: bool
    stable: str
    canary: str | None
    bridged_to: str | None


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C]):
    """What a release could be loaded of; `reason` says what could not. Of a bridged endpoint only its contract, in `bridge`."""

    stable: Served[C] | None = None
    canary: Served[C] | None = None
    reason: str | None = None
    bridge: Release[C] | None = None


class Loader(Generic[C]):
    """Reads versions by the registry."""

    def __init__(self, registry: Registry[C], bridges: Bridges[C]) -> None:
        self._registry = registry
        self._bridges = bridges

    def load(self, endpoint: Endpoint, bridged: Iterable[Endpoint] = ()) -> Loaded[C]:
        """The versions of a release, bound for those that are `bridged` to it. Without its stable one the canary is worth nothing."""
        if endpoint.state == "retired":
            return Loaded()
        if endpoint.bridged_to is not None:
            return self._load_bridge(endpoint)
        try:
            stable = self.load_version(endpoint, endpoint.stable_version)
        except NotServable as refusal:
            return Loaded(reason=refusal.reason)
        self._bind(stable, bridged)
        if endpoint.canary_version is None:
            return Loaded(stable)
        try:
            return Loaded(stable, self.load_version(endpoint, endpoint.canary_version))
        except NotServable as refusal:
            return Loaded(stable, reason=f"canary: {refusal.reason}")

    def load_version(self, endpoint: Endpoint, version: str) -> Served[C]:
        """Raises NotServable, whatever goes wrong."""
        loaded = self._registry.loaded.get((endpoint.model, version))
        if loaded is not None:
            return loaded
        try:
            return self._registry.load(endpoint.model, endpoint.api_version, version)
        except (Exception, SystemExit) as error:  # a model runs code of its own when it is loaded
            if isinstance(error, NotServable):
                raise
            raise NotServable(f"{endpoint.model} {version} cannot be loaded ({type(error).__name__}): publish it again") from error

    def _load_bridge(self, endpoint: Endpoint) -> Loaded[C]:
        """Its contract alone: its model may be gone."""
        try:
            contract = self._registry.read_contract(endpoint.model, endpoint.api_version, endpoint.stable_version)
        except NotServable as refusal:
            return Loaded(reason=refusal.reason)
        bridge = Release(endpoint.stable_version, None, contract)
        return Loaded(bridge=bridge, reason=self._bridges.obstacle(endpoint, bridge))

    def _bind(self, stable: Served[C], bridged: Iterable[Endpoint]) -> None:
        """So that nothing is left to do on the event loop when it is switched to."""
        for each in bridged:
            release = self._registry.release(each.model, each.api_version)
            if release is not None:
                self._bridges.unfit(each.model, release, Release(stable.manifest.version, None, stable.contract))


def answering(endpoint: Endpoint) -> Answering:
    """What is to answer for it."""
    return Answering(endpoint.state == "retired", endpoint.stable_version, endpoint.canary_version, endpoint.bridged_to)
