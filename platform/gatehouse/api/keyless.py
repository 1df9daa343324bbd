"""What a browser is shown that follows the link to a guide, or to an error code that is none: the same 401, in words for a person."""

from starlette.datastructures import Headers
from starlette.types import Scope

from gatehouse.api.documents import HTML
from gatehouse.api.negotiation import accepted
from gatehouse.api.pages import PAGE_CSP, no_code_page, no_key_page
from gatehouse.api.paths import is_guide, is_under_errors
from gatehouse.errors import CredentialMissing, NotAcceptable, Problem

OFFERED = ("application/problem+json", "application/json", "text/html")


def page_without_key(base_url: str, scope: Scope, problem: Problem) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
    """Headers and body; None for whatever is no browser without a key at such a path. Nothing is said of whether there is such a guide."""
    path = scope["path"]
    if not isinstance(problem, CredentialMissing) or not (is_guide(path) or is_under_errors(path)):
        return None
    try:
        if accepted(Headers(scope=scope).getlist("accept"), OFFERED) != "text/html":
            return None
    except NotAcceptable:
        return None
    body = no_key_page(base_url + path) if is_guide(path) else no_code_page(base_url)
    headers = [
        (b"content-type", HTML.encode("ascii")),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"content-security-policy", PAGE_CSP.encode("ascii")),
        (b"vary", b"Accept"),
    ]
    return headers, body
