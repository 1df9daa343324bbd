"""What a browser is shown that follows the link to a guide: the same 401, in words for a person."""

from starlette.datastructures import Headers
from starlette.types import Scope

from gatehouse.api.documents import HTML
from gatehouse.api.negotiation import accepted
from gatehouse.api.pages import PAGE_CSP, no_key_page
from gatehouse.api.paths import is_guide
from gatehouse.errors import CredentialMissing, NotAcceptable, Problem

OFFERED = ("application/problem+json", "application/json", "text/html")


def page_without_key(base_url: str, scope: Scope, problem: Problem) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
    """Headers and body; None for whatever is no browser without a key at a guide. Nothing is said of whether there is such a guide."""
    if not isinstance(problem, CredentialMissing) or not is_guide(scope["path"]):
        return None
    try:
        if accepted(Headers(scope=scope).getlist("accept"), OFFERED) != "text/html":
            return None
    except NotAcceptable:
        return None
    body = no_key_page(base_url + scope["path"])
    headers = [
        (b"content-type", HTML.encode("ascii")),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"content-security-policy", PAGE_CSP.encode("ascii")),
        (b"vary", b"Accept"),
    ]
    return headers, body
