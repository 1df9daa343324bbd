"""Whether a schema of the OpenAPI document lists all that an answer may hold, and whether an answer holds no more."""

from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs

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


def check_answer(document: Json, operation: Json | None, answer: httpx2.Response) -> None:
    """That an answer holds what its operation lists, and nothing else: objects that the schema lets grow are closed for it."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if operation is None or kind != "application/json" or not answer.content:
        return
    schema = operation["responses"][str(answer.status_code)]["content"][kind]["schema"]
    jsonschema_rs.validate(_closed({**schema, "components": document["components"]}), answer.json())


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(member) for name, member in schema.items()}
    if isinstance(schema.get("properties"), dict) and "allOf" not in schema:
        closed.setdefault("additionalProperties", False)
    return closed
