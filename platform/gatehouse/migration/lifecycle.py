"""Which endpoint a call means, and whether it still answers."""

from collections.abc import Iterable, Mapping

from gatehouse.call import Route
from gatehouse.errors import EndpointRetired, NotFound
from gatehouse.migration.endpoint import Endpoint
from gatehouse.principal import Principal


class Endpoints:
    """All endpoints of this deployment, as this process last saw them. Replaced as a whole."""

    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        self._by_name: Mapping[tuple[str, str], Endpoint] = {}
        self.replace(endpoints)

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        """Take over a new state of things."""
        self._by_name = {(endpoint.model, endpoint.api_version): endpoint for endpoint in endpoints}

    def all(self) -> list[Endpoint]:
        """Every endpoint, in order of name and version."""
        return sorted(self._by_name.values(), key=_order)

    def find(self, principal: Principal, route: Route) -> Endpoint:
        """The endpoint that a prediction path means for this caller.

        Raises NotFound (unknown and not granted are the same), EndpointRetired.
        """
        model = route.model or principal.default_model
        endpoint = self._by_name.get((model, route.api_version)) if model else None
        if endpoint is None or not visible(endpoint, principal):
            raise NotFound(reason="not_granted" if endpoint else "no_such_endpoint")
        if endpoint.state == "retired":
            raise EndpointRetired()
        return endpoint

    def granted(self, principal: Principal, api_version: str | None = None) -> list[Endpoint]:
        """What this caller may see, in order of name and version."""
        wanted = (endpoint for endpoint in self._by_name.values() if api_version in (None, endpoint.api_version))
        return sorted((endpoint for endpoint in wanted if visible(endpoint, principal)), key=_order)


def visible(endpoint: Endpoint, principal: Principal) -> bool:
    """Whether a grant covers the endpoint; a preview needs one that names its API version."""
    if endpoint.model not in principal.grants:
        return False
    versions = principal.grants[endpoint.model]
    if versions is None:
        return endpoint.state != "preview"
    return endpoint.api_version in versions


def _order(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.model, int(endpoint.api_version[1:])
