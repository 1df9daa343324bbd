"""One small and valid call of any route, made from the OpenAPI document; what is called is there, and new where a call may end it."""

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from access_table import Access

Json = dict[str, Any]
_BASE62 = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class SampleCall:
    """What to send, but for the credential."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None

    def sent(self, token: str | None) -> Json:
        """The arguments of a client's `request`."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if self.method in ("PUT", "PATCH", "DELETE"):
            headers["if-match"] = "*"
        asked: Json = {"method": self.method, "url": self.path, "headers": headers, "params": dict(self.query)}
        if self.body is not None:
            asked["json"] = self.body
        return asked | ({"data": dict(self.form)} if self.form else {})


@dataclass(frozen=True, slots=True)
class Things:
    """What stands for a route's parameters and for the members of its body, by name."""

    parameters: Mapping[str, Callable[[], str]]
    fresh: Mapping[str, Callable[[], str]]
    """The same, made for one call that may end it."""
    members: Mapping[str, Callable[[], Any]]
    bodies: Mapping[str, Callable[[Json], Any]]
    """By `METHOD /path`: the body where the schema alone does not say it, from the minimal one."""
    queries: Mapping[str, Mapping[str, str]]
    versions: Mapping[str, Mapping[str, str]]
    """By path: parameters that are others there."""
    forms: Mapping[str, Callable[[], Mapping[str, str]]]


class SampleCalls:
    """Makes calls of the routes of one OpenAPI document."""

    def __init__(self, document: Json, things: Things) -> None:
        self._document = document
        self._things = things

    def call(self, access: Access, *, fresh: bool = False, **chosen: str) -> SampleCall:
        """A valid call of what is there, made just now where it is `fresh`; `chosen` parameters of the path are these instead."""
        route, things = str(access), self._things
        form = things.forms.get(route)
        names = {**things.parameters, **things.fresh} if fresh and access.method != "GET" else things.parameters
        path = filled(access.path, names, {**things.versions.get(access.path, {}), **chosen})
        return SampleCall(access.method, path, things.queries.get(route, {}), self._body(access), form() if form else None)

    def _body(self, access: Access) -> Any:
        schema = self.body_schema(access)
        made = self.minimal(schema) if schema else None
        shaped = self._things.bodies.get(str(access))
        return shaped(made) if shaped else made

    def operation(self, access: Access) -> Json | None:
        """What the document says of a route; None of a page that it does not know."""
        operation: Json | None = self._document["paths"].get(access.path, {}).get(access.method.lower())
        return operation

    def body_schema(self, access: Access) -> Json | None:
        """Of a JSON body, with its references resolved one level."""
        content = (self.operation(access) or {}).get("requestBody", {}).get("content", {})
        return self.resolved(content["application/json"]["schema"]) if "application/json" in content else None

    def resolved(self, schema: Json) -> Json:
        """A schema behind its reference."""
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def minimal(self, schema: Json) -> Any:
        """The least object of a schema: what it requires, or the first member that is known where it requires nothing."""
        schema = self.resolved(schema)
        members, wanted = schema.get("properties", {}), list(schema.get("required", []))
        known = [name for name in members if name in self._things.members]
        return {name: self._member(name, members[name]) for name in wanted or known[:1]}

    def _member(self, name: str, schema: Json) -> Any:
        made = self._things.members.get(name)
        return made() if made else self._value(name, self.resolved(schema))

    def _value(self, name: str, schema: Json) -> Any:
        if "anyOf" in schema:
            return self._value(name, self.resolved(schema["anyOf"][0]))
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
            case "object":
                return self.minimal(schema)
            case "array":
                return [self._value(name, self.resolved(schema["items"]))] * schema.get("minItems", 0)
        raise LookupError(f"no sample of {name!r}; give one in tests/support/world.py")


def filled(template: str, names: Mapping[str, Callable[[], str]], chosen: Mapping[str, str]) -> str:
    """A path with its parameters; by the piece before it where two nouns call theirs the same: `assets/name`."""
    path = template
    for name in parameters_of(template):
        before = template.partition(f"{{{name}}}")[0].rstrip("/").rpartition("/")[2]
        made = names.get(f"{before}/{name}") or names.get(name)
        if name not in chosen and made is None:
            raise LookupError(f"nothing stands for {{{name}}} of {template}; say what in tests/support/world.py")
        path = path.replace(f"{{{name}}}", chosen[name] if made is None or name in chosen else made())
    return path


def parameters_of(template: str) -> list[str]:
    """The names in braces of a path."""
    return [name for _, name, *_ in string.Formatter().parse(template) if name]


def unlike(value: str) -> str:
    """An id of the same kind and length that stands for nothing: what is behind its prefix is random."""
    prefix, mark, rest = value.rpartition("_")
    if rest.isdecimal():
        return str(10**12)
    letters = _BASE62 if any(letter in string.ascii_uppercase for letter in rest) else "abcdef"
    return prefix + mark + "".join(secrets.choice(letters) for _ in rest)


def with_member(call: SampleCall, name: str, value: Any) -> SampleCall:
    """The same call with one member more in its body."""
    return replace(call, body={**(call.body or {}), name: value})
