"""Public pages answer GET, and HEAD for whoever only probes."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def get_and_head(router: APIRouter, path: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
    """Route GET and HEAD of a path; the OpenAPI document shows GET alone."""

    def register(endpoint: Endpoint) -> Endpoint:
        routed = router.get(path, **described)(endpoint)  # first, since a 405 names the methods of the first route
        router.head(path, include_in_schema=False)(endpoint)
        return routed

    return register
