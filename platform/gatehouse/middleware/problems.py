"""The one translation of problems to HTTP: RFC 9457 documents, with nothing internal in them."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse.call import SCOPE_KEY, Call
from gatehouse.errors import ClientGone, InternalError, Problem, ServiceUnavailable
from gatehouse.middleware.sending import SENDING_KEY

LOGGER = logging.getLogger("gatehouse.problems")
DISCARDED_BODY_BYTES = 64 * 1024
"""An unread body up to this size is read away by the server; a larger one costs the caller its connection."""


Rendered: TypeAlias = tuple[list[tuple[bytes, bytes]], bytes]
"""Headers and body."""


class Problems:
    """Stands behind the request log, whose `Sending` tells how far an answer has got.

    `on_refused` is told of every refused call, before its answer is sent. `page` is what a person is shown instead of a document.
    """

    def __init__(
        self,
        app: ASGIApp,
        base_url: str,
        on_refused: Callable[[Call], None],
        page: Callable[[Scope, Problem], Rendered | None] = lambda _scope, _problem: None,
    ) -> None:
        self.app = app
        self.base_url = base_url
        self.on_refused = on_refused
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except ClientGone:
            call: Call = scope[SCOPE_KEY]
            call.reason = "client_gone"
            self.on_refused(call)
        except asyncio.CancelledError:  # the server ends, and will not wait for the call
            if scope[SENDING_KEY].started:
                raise
            ending = ServiceUnavailable("The server ended before the call did.", reason="server_ended", headers=[("Retry-After", "1")])
            await self._refuse(scope, ending, send)
        except Exception as error:
            call, answer = scope[SCOPE_KEY], scope[SENDING_KEY]
            if answer.started:
                if not answer.complete:
                    raise
                # Starlette answers and raises again; the call is over
                LOGGER.error("request %s failed", call.request_id, exc_info=error)
                return
            await self._refuse(scope, _as_problem(error, call), send)

    async def _refuse(self, scope: Scope, problem: Problem, send: Send) -> None:
        call: Call = scope[SCOPE_KEY]
        call.status = problem.status
        page = self.page(scope, problem)
        headers, body = problem_response(call, problem, self.base_url) if page is None else with_headers_of(call, problem, *page)
        sent = b"" if scope["method"] == "HEAD" else body
        call.bytes_out = 0 if call.route is None else len(sent)  # `Sending` counts what is no prediction's
        self.on_refused(call_refused(call, problem))
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": sent})


def _as_problem(error: Exception, call: Call) -> Problem:
    if isinstance(error, Problem):
        return error
    LOGGER.error("request %s failed", call.request_id, exc_info=error)
    return InternalError(reason=type(error).__name__)


def call_refused(call: Call, problem: Problem) -> Call:
    """Write down in the call why it was refused."""
    call.code = problem.code
    call.reason = problem.reason
    call.rows = 0
    return call


def problem_response(call: Call, problem: Problem, base_url: str) -> Rendered:
    """Headers and body of a problem document."""
    body = msgspec.json.encode(
        {
            "type": f"{base_url}/errors/{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            "code": problem.code,
            "request_id": call.request_id,
            **problem.members,
            **({} if call.notice is None else {"notices": call.notice.member}),
        }
    )
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode("ascii"))]
    return with_headers_of(call, problem, headers, body)


def with_headers_of(call: Call, problem: Problem, headers: list[tuple[bytes, bytes]], body: bytes) -> Rendered:
    """The same with what a problem says in its headers, whatever it is rendered to."""
    headers += [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in problem.headers]
    if call.body_pending:
        headers.append((b"connection", b"close"))
    return headers, body
