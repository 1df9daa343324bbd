"""What FastAPI and slowapi raise, answered with problem documents of ours; their own answers echo what was sent."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from slowapi.errors import RateLimitExceeded
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from gatehouse.api.oauth import OAuthError, oauth_answer
from gatehouse.api.principal import call_of
from gatehouse.api.throttle import Throttle
from gatehouse.call import CLIENT_GONE, Call
from gatehouse.db.audit_chain import AuditTrailUnfit
from gatehouse.errors import (
    ClientGone,
    InternalError,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    ServiceUnavailable,
)

LOGGER = logging.getLogger("gatehouse.api")
RETRY_AFTER_S = "5"
UNAUDITED = "Nothing was changed. No changes are taken until this service's operator has looked after it."
Render = Callable[[Call, Problem], tuple[list[tuple[bytes, bytes]], bytes]]
"""A problem to headers and body."""


def handle_errors(api: FastAPI, throttle: Throttle, render: Render) -> None:
    """Register a handler for each kind of exception."""

    def answer(request: Request, problem: Problem) -> Response:
        call = call_of(request)
        call.code, call.reason = problem.code, problem.reason
        headers, body = render(call, problem)
        response = Response(b"" if request.method == "HEAD" else body, problem.status)
        response.raw_headers = headers
        return response

    @api.exception_handler(Problem)
    async def refused(request: Request, problem: Problem) -> Response:
        return answer(request, problem)

    @api.exception_handler(ClientGone)
    async def gone(request: Request, _error: ClientGone) -> Response:
        call_of(request).reason = "client_gone"
        return Response(status_code=CLIENT_GONE)  # nobody reads it; it makes the log's status

    @api.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        # Starlette raises it again behind this answer; middleware/problems writes it into the log
        return answer(request, InternalError(reason=type(error).__name__))

    @api.exception_handler(DBAPIError)
    @api.exception_handler(PoolTimeout)
    @api.exception_handler(AuditTrailUnfit)
    async def unavailable(request: Request, error: Exception) -> Response:
        return answer(request, database_problem(error, call_of(request).request_id))

    @api.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        return answer(request, unrouted_problem(error))

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, validation_problem(error))

    @api.exception_handler(RateLimitExceeded)
    async def throttled(request: Request, _error: RateLimitExceeded) -> Response:
        return answer(request, throttle.refusal(request))

    @api.exception_handler(OAuthError)
    async def oauth(request: Request, error: OAuthError) -> Response:
        call_of(request).code = error.error
        return oauth_answer(error)


def database_problem(error: Exception, request_id: str) -> Problem:
    """The database does not answer, or takes no change, which time does not mend: the log says why."""
    if isinstance(error, AuditTrailUnfit):
        LOGGER.error("request %s: nothing was changed: %s", request_id, error)
        return ServiceUnavailable(UNAUDITED, reason="audit_trail")
    LOGGER.error("request %s: the database failed (%s)", request_id, type(error).__name__)
    return ServiceUnavailable(reason="database", headers=[("Retry-After", RETRY_AFTER_S)])


def unrouted_problem(error: HTTPException) -> Problem:
    """What the router raises: no such path, or not by this method."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")
        return MethodNotAllowed(headers=[("Allow", "GET, HEAD" if allowed == "GET" else allowed)])
    if error.status_code == 400:
        return MalformedRequest("The body could not be read.")
    return NotFound(reason="no_such_path")


def validation_problem(error: RequestValidationError) -> Problem:
    """A path that no route means is not there; a bad parameter is named, without its value."""
    entries = error.errors()
    if any(entry["loc"][0] == "path" for entry in entries):
        return NotFound(reason="no_such_path")
    found = [{"parameter": str(entry["loc"][-1]), "code": "invalid", "detail": str(entry["msg"])} for entry in entries]
    return InvalidInput("A parameter of the query is not what it must be; 'errors' names it.", members={"errors": found})
