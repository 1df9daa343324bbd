"""The problem documents of the error catalogue, as OpenAPI components."""

from typing import Any

from gatehouse.errors import CATALOGUE, Problem

Json = dict[str, Any]

STATUSES = tuple(sorted({problem.status for problem in CATALOGUE.values()}))
WITH_RETRY_AFTER = frozenset({409, 410, 429, 503})


def problem_ref(status: int) -> Json:
    """A reference to the response of `status`, which must be one of the catalogue's."""
    return {"$ref": f"#/components/responses/Problem{status}"}


def problem_responses() -> Json:
    """One response for each status of the catalogue, named `Problem<status>`."""
    return {f"Problem{status}": _response(status) for status in STATUSES}


def problem_schemas() -> Json:
    """The schema of every problem document, and that of 422 with its pointers."""
    return {"Problem": _PROBLEM, "InvalidInputProblem": _INVALID_INPUT}


def _response(status: int) -> Json:
    problems = [problem for problem in CATALOGUE.values() if problem.status == status]
    schema = "InvalidInputProblem" if status == 422 else "Problem"
    response: Json = {
        "description": "; ".join(f"`{problem.code}`: {problem.title}" for problem in problems),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": f"#/components/schemas/{schema}"},
                "examples": {problem.code: {"value": _example(problem)} for problem in problems},
            }
        },
    }
    headers: Json = {}
    if status in WITH_RETRY_AFTER:
        headers["Retry-After"] = _RETRY_AFTER
    if status == 401:
        headers["WWW-Authenticate"] = _CHALLENGE
    if headers:
        response["headers"] = headers
    return response


def _example(problem: type[Problem]) -> Json:
    return {
        "type": f"https://api.example.org/errors/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.meaning,
        "code": problem.code,
        "request_id": "01JD0000000000000000000000",
    }


_RETRY_AFTER = {"description": "Seconds after which the call may be sent again", "schema": {"type": "integer", "minimum": 1}}
_CHALLENGE = {"description": "`Bearer`, by RFC 6750", "schema": {"type": "string"}}
NOTICES: Json = {
    "description": "On every answer of an endpoint that ends.",
    "type": "array",
    "items": {
        "type": "object",
        "required": ["code", "detail", "link"],
        "properties": {
            "code": {"type": "string", "description": "`endpoint_deprecated` or `endpoint_retired`; ignore those that you do not know"},
            "detail": {"type": "string"},
            "link": {"type": "string", "format": "uri"},
        },
    },
}
_PROBLEM: Json = {
    "description": "A problem document (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "A page that says what to do"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(CATALOGUE), "description": "Stable: programs decide by this"},
        "request_id": {"type": "string"},
        "notices": NOTICES,
    },
}
_INVALID_INPUT: Json = {
    "description": "A problem document whose `errors` say where the body does not fit the contract.",
    "type": "object",
    "required": _PROBLEM["required"],
    "properties": {
        **_PROBLEM["properties"],
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901) into the body that was sent"},
                    "parameter": {"type": "string", "description": "Instead of a pointer: a parameter of the URL"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
