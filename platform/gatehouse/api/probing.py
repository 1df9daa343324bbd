"""What answers GET answers HEAD, for whoever only probes (RFC 9110 9.1)."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def get_and_head(router: APIRouter, path: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
    """Route GET and HEAD of a path, for the same callers; the OpenAPI document shows GET alone."""

    def register(endpoint: Endpoint) -> Endpoint:
        routed = router.get(path, **described)(endpoint)  # first, since a 405 names the methods of the first route
        router.head(path, **described | {"include_in_schema": False, "operation_id": None})(endpoint)
        return routed

    return register
