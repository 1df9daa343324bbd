"""What callers see of an endpoint that changed and is not loaded yet."""

from dataclasses import replace

from gatehouse.migration.endpoint import Endpoint


def as_shown(known: Endpoint | None, endpoint: Endpoint, *, tried: bool, taken: bool) -> Endpoint | None:
    """The endpoint as callers see it, who have `known` it so far; whether its load was `tried`, and what it brought `taken` over."""
    if not tried and _comes(known, endpoint):
        return known
    if taken or known is None or "retired" in (known.state, endpoint.state):
        return endpoint
    return replace(endpoint, bridged_to=known.bridged_to)


def _comes(known: Endpoint | None, endpoint: Endpoint) -> bool:
    """Whether an endpoint begins to answer: until it is loaded, 404 or 410 is truer than 503."""
    return endpoint.state != "retired" and (known is None or known.state == "retired")
