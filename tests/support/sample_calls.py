"""One small and valid call of any route, made from the OpenAPI document; what is called is there, and new where a call may end it."""

import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from access_table import Access

Json = dict[str, Any]
Make = Callable[[], str]
_BASE62 = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class SampleCall:
    """What to send, but for the credential."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None
    csv: str | None = None

    def sent(self, token: str | None) -> Json:
        """The arguments of a client's `request`."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if self.method != "GET":
            headers["if-match"] = "*"
        asked: Json = {"method": self.method, "url": self.path, "headers": headers, "params": dict(self.query)}
        if self.csv is not None:
            return asked | {"content": self.csv, "headers": headers | {"content-type": "text/csv"}}
        if self.body is not None:
            asked["json"] = self.body
        return asked | ({"data": dict(self.form)} if self.form else {})


@dataclass(frozen=True, slots=True)
class Things:
    """What stands for a route's parameters and for the members of its body, by name."""

    parameters: Mapping[str, Make]
    fresh: Mapping[str, Make]
    """The same, made for one call that may end it."""
    members: Mapping[str, Callable[[], Any]]
    bodies: Mapping[str, Callable[[Json], Any]]
    """By `METHOD /path`: the body where the schema alone does not say it, from the minimal one."""
    queries: Mapping[str, Mapping[str, str]]
    elsewhere: Mapping[str, Mapping[str, Make]]
    """By path: parameters that are others there."""
    forms: Mapping[str, Callable[[], Mapping[str, str]]]
    files: Mapping[str, Make]
    """CSV."""
    readied: Mapping[str, Callable[[], None]]
    """By `METHOD /path`: what makes way for a call that is to be answered."""

    def makers(self, path: str, *, fresh: bool) -> Iterator[Mapping[str, Make]]:
        """Where to look for a parameter, first to last."""
        yield self.elsewhere.get(path, {})
        if fresh:
            yield self.fresh
        yield self.parameters


class SampleCalls:
    """Makes calls of the routes of one OpenAPI document."""

    def __init__(self, document: Json, things: Things) -> None:
        self._document = document
        self._things = things

    def call(self, access: Access, *, fresh: bool = False, **chosen: str) -> SampleCall:
        """A valid call of what is there, made just now where it is `fresh`; `chosen` parameters of the path are these instead."""
        route, things = str(access), self._things
        if fresh and route in things.readied:
            things.readied[route]()
        form, file, path = things.forms.get(route), things.files.get(route), access.path
        for name, value in {**self.parameters(access, fresh=fresh), **chosen}.items():
            path = path.replace(f"{{{name}}}", value)
        query, body = things.queries.get(route, {}), self._body(access)
        return SampleCall(access.method, path, query, body, form() if form else None, file() if file else None)

    def parameters(self, access: Access, *, fresh: bool = False) -> dict[str, str]:
        """What stands for each parameter of a route's path."""
        return {name: self._parameter(access, name, fresh=fresh and access.method != "GET") for name in parameters_of(access.path)}

    def _parameter(self, access: Access, name: str, *, fresh: bool) -> str:
        """By the piece before it where two nouns call theirs the same: `assets/name`."""
        before = access.path.partition(f"{{{name}}}")[0].rstrip("/").rpartition("/")[2]
        made = [makers.get(key) for makers in self._things.makers(access.path, fresh=fresh) for key in (f"{before}/{name}", name)]
        for make in made:
            if make:
                return make()
        raise LookupError(f"nothing stands for {{{name}}} of {access.path}; say what in tests/support/world.py")

    def _body(self, access: Access) -> Any:
        schema = self.body_schema(access)
        made = self.minimal(schema) if schema else None
        shaped = self._things.bodies.get(str(access))
        return shaped(made) if shaped else made

    def operation(self, access: Access) -> Json | None:
        """What the document says of a route, which it may name with its parameters filled in; None of a page that it does not know."""
        paths, filled = self._document["paths"], access.path
        for name, value in self.parameters(access).items():
            filled = filled.replace(f"{{{name}}}", value)
        operation: Json | None = paths.get(access.path, paths.get(filled, {})).get(access.method.lower())
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

    def objects_in(self, schema: Json) -> Iterator[tuple[str, Json]]:
        """The members that are, or may be, objects with members of their own."""
        for name, member in self.resolved(schema).get("properties", {}).items():
            for kind in [self.resolved(member), *map(self.resolved, member.get("anyOf", []))]:
                if "properties" in kind:
                    yield name, kind

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
