"""Whether a schema of the OpenAPI document lists all that an answer may hold."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
COMBINED = ("anyOf", "oneOf", "allOf")


def open_places(document: Json, schema: Json, place: str = "", within: tuple[str, ...] = ()) -> Iterator[str]:
    """Where a schema lets something through that it does not name: a pointer into it for each place."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        if name not in within:
            yield from open_places(document, document["components"]["schemas"][name], place, (*within, name))
        return
    if not any(word in schema for word in ("type", "enum", "const", *COMBINED)):
        yield f"{place or '/'} (anything)"
    for word in COMBINED:
        for each in schema.get(word, ()):
            yield from open_places(document, each, place, within)
    if "object" in _types(schema):
        yield from _open_object(document, schema, place, within)
    if "array" in _types(schema):
        yield from open_places(document, schema.get("items", {}), f"{place}/*", within)


def _open_object(document: Json, schema: Json, place: str, within: tuple[str, ...]) -> Iterator[str]:
    others = schema.get("additionalProperties", True)
    if others is True:
        yield f"{place or '/'} (members)"
    elif others is not False:  # a map of one kind of values
        yield from open_places(document, others, f"{place}/*", within)
    for name, member in schema.get("properties", {}).items():
        yield from open_places(document, member, f"{place}/{name}", within)


def _types(schema: Json) -> list[str]:
    given = schema.get("type", [])
    return given if isinstance(given, list) else [given]
