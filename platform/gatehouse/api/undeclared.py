"""A writing route of `/admin` and `/account` takes the body and the query parameters that it declares, and nothing else."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from gatehouse.api.json_body import body_of, invalid
from gatehouse.api.paths import is_writing
from gatehouse.api.principal import Needs
from gatehouse.errors import InvalidInput

EMPTY = frozenset({b"", b"{}"})
MOST_NAMED = 20
NAME_CHARACTERS = 64


async def refuse_undeclared(request: Request) -> None:
    """A dependency of every route: what is sent and not read would look as if it were done.

    The scope comes first, as on routes that read a body. Raises ScopeMissing, InvalidInput and what the limits of a body raise.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not is_writing(request.method, request.scope["path"]):
        return
    parts = [route.dependant, *_parts(route.dependant)]
    for part in parts:
        if isinstance(part.call, Needs):
            part.call(request)
    _check_query(request, parts)
    if all(part.call is not body_of for part in parts):
        await _check_no_body(request)


def _parts(dependant: Dependant) -> Iterator[Dependant]:
    """What a route depends on, at every depth."""
    for part in dependant.dependencies:
        yield part
        yield from _parts(part)


def _check_query(request: Request, parts: list[Dependant]) -> None:
    declared = [field for part in parts for field in part.query_params]
    known = sorted(field.alias for field in get_flat_params(Dependant(call=parts[0].call, query_params=declared)))  # a model as its fields
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        said = f"is not known here: the parameters are {', '.join(known)}" if known else "is not known here: this takes no parameters"
        errors = [{"parameter": name[:NAME_CHARACTERS], "code": "unknown_parameter", "detail": said} for name in unknown[:MOST_NAMED]]
        raise InvalidInput("The query has a parameter that is not known here; 'errors' names it.", members={"errors": errors})


async def _check_no_body(request: Request) -> None:
    if (await request.body()).strip() not in EMPTY:
        raise invalid([{"pointer": "", "code": "unknown_field", "detail": "must be left out: this address takes no body"}])
