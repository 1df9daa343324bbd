"""What answers GET answers HEAD, for whoever only probes (RFC 9110 9.1)."""

from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

from fastapi import APIRouter

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def get_and_head(router: APIRouter, path: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
    """Route GET and HEAD of a path, for the same callers; the OpenAPI document shows GET alone."""

    def register(endpoint: Endpoint) -> Endpoint:
        routed = router.get(path, **described)(endpoint)  # first, since a 405 names the methods of the first route
        probed: Any = copy(router.routes[-1])  # a copy is the same road, and takes none of the time that making one does
        probed.methods, probed.include_in_schema, probed.operation_id = {"HEAD"}, False, None
        router.routes.append(probed)
        return routed

    return register
