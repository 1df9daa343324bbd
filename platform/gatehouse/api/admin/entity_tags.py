"""Entity tags (RFC 9110 8.8.3): which state of a thing an operator has seen, so that nobody's change is overwritten unseen."""

import re
from hashlib import sha256
from typing import Any, TypeVar

from fastapi import Request, Response

from gatehouse.api.key_bodies import Closed
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.errors import PreconditionFailed, PreconditionRequired

IF_MATCH = "If-Match"
SHOWN_TAG = {"headers": {"ETag": {"description": "Of what is shown; send it as If-Match with a change", "schema": {"type": "string"}}}}
_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_DIGITS = 32


Shown = TypeVar("Shown", bound=Closed)


def tag_of(entry: Closed) -> str:
    """A strong tag by the digest of what is shown: the same on every server, and with no column of its own."""
    text = entry.model_dump_json(exclude=set(entry.passing))
    return f'"{sha256(text.encode()).hexdigest()[:_DIGITS]}"'


def tagged(response: Response, entry: Shown) -> Shown:
    """The entry, its tag among the answer's headers."""
    response.headers["ETag"] = tag_of(entry)
    return entry


def if_match(*, demanded: bool) -> dict[str, Any]:
    """What the OpenAPI document says of a route that compares."""
    said = "The ETag of what was read before the change; `*` changes whatever is there"
    parameter = {"name": IF_MATCH, "in": "header", "required": demanded, "description": said, "schema": {"type": "string"}}
    statuses = (412, 428) if demanded else (412,)
    return {"openapi_extra": {"parameters": [parameter]}, "responses": {status: problem_ref(status) for status in statuses}}


def check_match(request: Request, current: str, *, demanded: bool) -> None:
    """Compare `If-Match` with the tag of the present state. A weak tag matches nothing (RFC 9110 13.1.1).

    Raises PreconditionFailed, or PreconditionRequired where the header is `demanded` and missing.
    """
    given = request.headers.getlist(IF_MATCH)
    if not given:
        if demanded:
            raise PreconditionRequired()
        return
    text = ", ".join(given)
    strong = [tag for weak, tag in _TAG.findall(text) if not weak]
    if text.strip() != "*" and current not in strong:
        raise PreconditionFailed()
