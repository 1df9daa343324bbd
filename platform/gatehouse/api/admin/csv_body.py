"""A CSV file as the body of a route, and what is wrong with its lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from gatehouse.api.openapi_problems import problem_ref
from gatehouse.errors import InvalidInput, UnsupportedMediaType
from gatehouse.identity.import_lines import MOST_BYTES, MOST_LINES, ImportRefused

TAKES = "Send 'Content-Type: text/csv', in UTF-8, without Content-Encoding."
_PARAMETERS = (b"", b"charset=utf-8", b'charset="utf-8"', b"header=present")


def check_csv(request: Request) -> None:
    """One CSV file in UTF-8, not compressed. Raises UnsupportedMediaType."""
    types = [value for name, value in request.scope["headers"] if name == b"content-type"]
    codings = [value for name, value in request.scope["headers"] if name == b"content-encoding"]
    if len(types) != 1 or any(coding.strip().lower() != b"identity" for coding in codings):
        raise UnsupportedMediaType(TAKES)
    media_type, *parameters = (part.strip().lower() for part in types[0].split(b";"))
    if media_type != b"text/csv" or any(part not in _PARAMETERS for part in parameters):
        raise UnsupportedMediaType(TAKES)


@contextmanager
def said_of_lines() -> Iterator[None]:
    """What is wrong with a file as a problem that names lines and columns."""
    try:
        yield
    except ImportRefused as refusal:
        errors = [{"line": fault.line, "column": fault.column, "code": "refused", "detail": fault.detail} for fault in refusal.faults]
        first = f", of which the first {len(errors)} are listed" if len(errors) < refusal.count else ""
        detail = f"Nothing was changed. Faults of the file: {refusal.count}{first}; every entry of 'errors' names a line and a column."
        raise InvalidInput(detail, members={"errors": errors}) from None


def answered(answer: BaseModel, status: int) -> Response:
    """An answer of thousands of entries, written here in the route's thread and not on the event loop."""
    return Response(answer.model_dump_json(), status, media_type="application/json")


def takes_csv(answer: type[BaseModel], columns: str, example: str) -> dict[str, Any]:
    """What the OpenAPI document says of a route that takes a file."""
    said = f"RFC 4180 with a header: {columns}. At most {MOST_LINES:,} lines and {MOST_BYTES // 1024**2} MiB. Formulas are plain text."
    content = {"text/csv": {"schema": {"type": "string", "description": said}, "example": example}}
    tried = {200: {"model": answer, "description": "With `dry_run`: every line can be made, and none was"}}
    return {
        "status_code": 201,
        "response_model": answer,
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": {**tried, **{status: problem_ref(status) for status in (408, 409, 413, 415, 422)}},
    }
