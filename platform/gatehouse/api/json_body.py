"""A JSON body of a route that is no prediction: read strictly, then by the route's own model. No refusal holds what was sent."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gatehouse.api.predict import check_content
from gatehouse.call import SCOPE_KEY
from gatehouse.contracts.body_text import to_text
from gatehouse.contracts.findings import MOST_LISTED, pointer_to
from gatehouse.contracts.strict_json import JsonReader
from gatehouse.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)
MOST_COMMAS = 1000
DETAIL = "The body is not what this address takes; every entry of 'errors' has a JSON pointer (RFC 6901) into it."
CODES = {"extra_forbidden": "unknown_field", "missing": "missing"}
"""pydantic's names of errors that have one here; the others are `invalid`."""


async def body_of(request: Request) -> bytes:
    """The whole body, under the cap of the middleware."""
    return await request.body()


def parsed(request: Request, body: bytes, model: type[Model], *, optional: bool = False) -> Model:
    """The body as `model`; the model's defaults where it is `optional` and empty.

    Raises UnsupportedMediaType, InvalidJson or InvalidInput.
    """
    if optional and not body:
        return model()
    check_content(request.scope[SCOPE_KEY].fields)
    _check_document(to_text(body), model)
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise invalid([_entry(each) for each in error.errors(include_url=False, include_input=False)[:MOST_LISTED]]) from None


def invalid(errors: list[dict[str, Any]]) -> InvalidInput:
    """The problem that lists these."""
    return InvalidInput(DETAIL, members={"errors": errors})


def _check_document(text: str, model: type[BaseModel]) -> None:
    """One object in which no name stands twice and no number is NaN; pydantic lets both pass. Raises InvalidJson or InvalidInput."""
    known = model.model_fields
    reader = JsonReader(text, known, MOST_COMMAS)
    if reader.peek() != "{":
        raise invalid([{"pointer": "", "code": "wrong_type", "detail": "must be an object"}])
    for name in reader.members():
        reader.value(f"/{name}" if name in known else "")
    reader.end()


def _entry(error: ErrorDetails) -> dict[str, Any]:
    pointer = ""
    for step in error["loc"]:
        pointer = pointer_to(pointer, str(step))
    said = "is not known here, or not for you to set" if error["type"] == "extra_forbidden" else str(error["msg"])
    return {"pointer": pointer, "code": CODES.get(error["type"], "invalid"), "detail": said}
