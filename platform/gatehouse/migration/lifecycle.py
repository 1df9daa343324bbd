"""Which endpoint a call means, and whether it still answers."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gatehouse.call import Call, Route
from gatehouse.errors import EndpointBrownout, EndpointRetired, NotFound
from gatehouse.migration.ending import Ending, brownout_text, ending_of, moment_text
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.windows import Windows, seconds_until
from gatehouse.principal import Principal

ENDING = ("deprecated", "retired")
Name = tuple[str, str]
"""Model and API version."""
_NO_VERSION: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Endings:
    """What is told to the tenants with an extension, and to everybody else."""

    otherwise: Ending
    by_tenant: Mapping[str, Ending]
    windows: Windows | None
    """None while no brownout is planned."""


class Endpoints:
    """All endpoints of this deployment, as this process last saw them. Replaced as a whole."""

    def __init__(
        self,
        base_url: str,
        now: Callable[[], datetime],
        endpoints: Iterable[Endpoint] = (),
        draw: Callable[[], float] = random.random,
        has_guide: Callable[[str, str, str], bool] = lambda _model, _old, _new: False,
    ) -> None:
        """`has_guide`: of a model, whether rules lead from an older API version up to a newer one."""
        self._base_url = base_url
        self.now = now
        self._draw = draw
        self._has_guide = has_guide
        self._by_name: Mapping[Name, Endpoint] = {}
        self._endings: Mapping[Name, Endings] = {}
        self._moved: Mapping[str, frozenset[str]] = {}
        self.generation = 0
        """While it stays the same, so do the endpoints."""
        self.replace(endpoints)

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        """Take over a new state of things."""
        by_name = {(endpoint.model, endpoint.api_version): self._guided(endpoint) for endpoint in endpoints}
        self._endings = {name: self._endings_of(endpoint) for name, endpoint in by_name.items() if endpoint.state in ENDING}
        self._by_name = by_name
        self.generation += 1

    def _guided(self, endpoint: Endpoint) -> Endpoint:
        ending = endpoint.deprecation
        guided = ending is not None and self._has_guide(endpoint.model, endpoint.api_version, ending.successor)
        return endpoint if guided == endpoint.guided else replace(endpoint, guided=guided)

    def spare(self, moved: Mapping[str, frozenset[str]]) -> None:
        """Take over which tenants have moved, by ids of planned brownouts; one that is not named refuses nobody yet."""
        self._moved = moved

    def get(self, model: str, api_version: str) -> Endpoint | None:
        """One of them, whoever may see it."""
        return self._by_name.get((model, api_version))

    def all(self) -> list[Endpoint]:
        """Every endpoint, in order of name and version."""
        return sorted(self._by_name.values(), key=_order)

    def find(self, call: Call, principal: Principal, route: Route, *, again: bool = False) -> Endpoint:
        """The endpoint that a prediction path means for this caller; the call says so, and what the caller must be told, also of a refusal.

        `again`: no brownout refused it when it came in, and of these each call draws once.
        Raises NotFound (unknown and not granted are the same), EndpointRetired, EndpointBrownout.
        """
        endpoint = self._by_name.get((route.model or principal.default_model or "", route.api_version))
        if endpoint is None or not visible(endpoint, principal):
            raise NotFound(reason="not_granted" if endpoint else "no_such_endpoint")
        call.model, call.api_version, state = endpoint.model, endpoint.api_version, endpoint.state
        if state != "active":
            self._tell(call, endpoint, principal)
            if state == "deprecated" and not again:
                self._check_brownout(endpoint, principal)
        return endpoint

    def _tell(self, call: Call, endpoint: Endpoint, principal: Principal) -> None:
        """Raises EndpointRetired, also for a sunset that is past by now."""
        endings = self._endings.get((endpoint.model, endpoint.api_version))
        if endings is None:  # a preview
            return
        ending = endings.by_tenant.get(principal.tenant_id, endings.otherwise)
        if endpoint.state == "deprecated" and not ending.over(self.now()):
            call.notice = ending.going
            return
        call.notice = ending.gone
        raise EndpointRetired(ending.refusal, members=ending.members)

    def _check_brownout(self, endpoint: Endpoint, principal: Principal) -> None:
        """Raises EndpointBrownout."""
        endings = self._endings.get((endpoint.model, endpoint.api_version))
        if endings is None or endings.windows is None:
            return
        now = self.now()
        window = endings.windows.refusing(principal.tenant_id, principal.key_id, now, self._moved)
        if window is None:
            return
        retry_after = [("Retry-After", str(seconds_until(window.ends_at, now)))]
        members = {**endings.otherwise.members, "ends_at": moment_text(window.ends_at)}
        raise EndpointBrownout(brownout_text(endpoint, window, principal.tenant_id), headers=retry_after, members=members)

    def _endings_of(self, endpoint: Endpoint) -> Endings:
        extended = {each.tenant_id for each in endpoint.extensions}
        return Endings(
            ending_of(endpoint, self._base_url),
            {tenant: ending_of(endpoint, self._base_url, tenant) for tenant in sorted(extended)},
            Windows(endpoint.brownouts, self._draw) if endpoint.brownouts else None,
        )

    def granted(self, principal: Principal, api_version: str | None = None) -> list[Endpoint]:
        """What this caller may see, in order of name and version."""
        wanted = (endpoint for endpoint in self._by_name.values() if api_version in (None, endpoint.api_version))
        return sorted((endpoint for endpoint in wanted if visible(endpoint, principal)), key=_order)


def visible(endpoint: Endpoint, principal: Principal) -> bool:
    """Whether a grant covers the endpoint; a preview needs one that names its API version."""
    versions = principal.grants.get(endpoint.model, _NO_VERSION)
    return endpoint.state != "preview" if versions is None else endpoint.api_version in versions


def _order(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.model, int(endpoint.api_version[1:])
