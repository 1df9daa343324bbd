"""What of FastAPI's own document a caller is shown: with a credential what its scopes let it call, without one all but `/admin`."""

from collections.abc import Iterator, Mapping
from typing import Any

from gatehouse.api.openapi_scopes import NeededScopes
from gatehouse.principal import Principal

Json = dict[str, Any]
ADMIN = "/admin/"
_SCHEMA = "#/components/schemas/"


def shown_to(base: Mapping[str, Any], principal: Principal | None, needed: NeededScopes) -> Mapping[str, Any]:
    """Those operations, with just the schemas that they name."""
    paths = {path: shown for path, item in base.get("paths", {}).items() if (shown := _operations(path, item, principal, needed))}
    components = dict(base.get("components", {}))
    components["schemas"] = _named_from(paths, components.get("schemas", {}))
    return {**base, "paths": paths, "components": components}


def _operations(path: str, item: Json, principal: Principal | None, needed: NeededScopes) -> Json:
    if principal is None:
        return {} if path.startswith(ADMIN) else item
    return {method: operation for method, operation in item.items() if needed.get((path, method), frozenset()) <= principal.scopes}


def _named_from(paths: Json, schemas: Json) -> Json:
    """The schemas that the operations name, and those that these name."""
    found: set[str] = set()
    left = set(_references(paths))
    while left:
        name = left.pop()
        found.add(name)
        left |= set(_references(schemas.get(name))) - found
    return {name: schema for name, schema in schemas.items() if name in found}


def _references(value: Any) -> Iterator[str]:
    """Names of schemas, also where they stand in the mapping of a discriminator."""
    if isinstance(value, str) and value.startswith(_SCHEMA):
        yield value.removeprefix(_SCHEMA)
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _references(entry)
