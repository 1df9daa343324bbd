"""What of FastAPI's own document a caller is shown: the operations under `/admin` only who may read there."""

from collections.abc import Iterator, Mapping
from typing import Any

from gatehouse.principal import Principal, Scope

Json = dict[str, Any]
ADMIN = "/admin/"
_SCHEMA = "#/components/schemas/"


def shown_to(base: Mapping[str, Any], principal: Principal | None) -> Mapping[str, Any]:
    """All of it, or the rest with just the schemas that it names."""
    if principal is not None and Scope.ADMIN_READ in principal.scopes:
        return base
    paths = {path: item for path, item in base.get("paths", {}).items() if not path.startswith(ADMIN)}
    components = dict(base.get("components", {}))
    components["schemas"] = _named_from(paths, components.get("schemas", {}))
    return {**base, "paths": paths, "components": components}


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
