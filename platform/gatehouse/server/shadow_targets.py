"""Which versions score whose calls too, as the endpoints stand."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.server.shadow_queue import Answered
from gatehouse.server.shadow_wire import Pair

NEVER = datetime.max.replace(tzinfo=UTC)
Target = tuple[str, str]
"""API version and model version that score the calls of an endpoint too."""


def targets_of(endpoints: Iterable[Endpoint], now: datetime) -> Mapping[tuple[str, str], Target]:
    """By model and API version of the endpoint that is called; without those whose other version is gone, or is the one that answers."""
    known = {(endpoint.model, endpoint.api_version): endpoint for endpoint in endpoints}
    called = {name: endpoint for name, endpoint in known.items() if endpoint.bridged_to is None and endpoint.state != "retired"}
    found = {name: _target(endpoint, known, now) for name, endpoint in called.items() if endpoint.shadow}
    return {name: target for name, target in found.items() if target is not None}


def _target(endpoint: Endpoint, known: Mapping[tuple[str, str], Endpoint], now: datetime) -> Target | None:
    wanted = endpoint.shadow.version if endpoint.shadow else ""
    if not wanted.startswith("v"):
        return None if wanted == endpoint.stable_version else (endpoint.api_version, wanted)
    other = known.get((endpoint.model, wanted))
    if other is None or other.bridged_to is not None or other.state_at(now) == "retired":
        return None
    return wanted, other.stable_version


class Targets:
    """Worked out anew only where the endpoints were replaced or one of them is over: they may be thousands. Of one thread."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._generation = -1
        self._until = NEVER
        self._targets: Mapping[tuple[str, str], Target] = {}
        self.stable: list[Pair] = []
        """Of the stable version of each endpoint with a shadow."""
        self.pairs: set[Pair] = set()
        """Those, and of their canaries."""

    def __bool__(self) -> bool:
        return bool(self._targets)

    def look(self) -> bool:
        """Whether anything may have changed since the last look; then it is taken in."""
        generation, now = self._endpoints.generation, self._endpoints.now()
        if generation == self._generation and now <= self._until:
            return False
        endpoints = self._endpoints.all()
        self._targets = targets_of(endpoints, now)
        self._until = min((moment for each in endpoints if (moment := _last_moment(each)) >= now), default=NEVER)
        called = [each for each in endpoints if (each.model, each.api_version) in self._targets]
        self.stable = self._pairs(called, [each.stable_version for each in called])
        self.pairs = {*self.stable, *self._pairs(called, [each.canary_version for each in called])}
        self._generation = generation
        return True

    def pair(self, of: Answered) -> Pair | None:
        """What scores these calls too; None where nothing does, or what has answered them itself."""
        target = self._targets.get((of.model, of.api_version))
        return None if target is None or target[1] == of.version else Pair(*of, *target)

    def _pairs(self, endpoints: Iterable[Endpoint], versions: Iterable[str | None]) -> list[Pair]:
        answered = [Answered(each.model, each.api_version, version) for each, version in zip(endpoints, versions, strict=True) if version]
        return [pair for pair in map(self.pair, answered) if pair is not None]


def _last_moment(endpoint: Endpoint) -> datetime:
    return endpoint.last_moment() or NEVER
