"""Which scopes each operation of the OpenAPI document needs, from the dependencies of its route."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from gatehouse.api.principal import Needs
from gatehouse.principal import Scope

NeededScopes = Mapping[tuple[str, str], frozenset[Scope]]
"""By path and method, which is in small letters."""


def needed_scopes(routes: Sequence[BaseRoute]) -> NeededScopes:
    """Nothing for what any credential, or none, may call."""
    needed: dict[tuple[str, str], frozenset[Scope]] = {}
    for context in iter_route_contexts(routes):
        route: Any = context.route
        scopes = frozenset(part.call.scope for part in _parts(route.dependant) if isinstance(part.call, Needs))
        needed |= {(str(context.path), method.lower()): scopes for method in context.methods or ()}
    return needed


def _parts(dependant: Any) -> Iterator[Any]:
    for part in dependant.dependencies:
        yield part
        yield from _parts(part)
