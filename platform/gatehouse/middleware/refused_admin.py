"""Every refusal under `/admin` is written into the audit trail; that of a caller who proved who it is before it is answered."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse.call import SCOPE_KEY, Call
from gatehouse.middleware.request_log import loggable_path

LOGGER = logging.getLogger("gatehouse.audit")
WAIT_S = 2.0
"""A refusal stays a refusal, however long the database takes: the row is written later."""
SUBJECT_CHARACTERS = 200
_ADMIN = re.compile(r"(?:\.?/)*admin(?:/|\Z)", re.IGNORECASE)


class RefusalBook(Protocol):
    """What becomes of a refusal; quick, and never an error of its own."""

    def note(self, call: Call, subject: str, status: int, written: Callable[[], None]) -> bool:
        """Take one more; whether a row of its own is being written now, after which `written` is called from some thread."""


class RefusedAdmin:
    """Watches answers on their way out, whoever made them."""

    def __init__(self, app: ASGIApp, book: RefusalBook, wait_s: float = WAIT_S) -> None:
        self.app = app
        self.book = book
        self.wait_s = wait_s

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.app(scope, receive, self._once_written(scope, send) if under_admin(scope["path"]) else send)

    def _once_written(self, scope: Scope, send: Send) -> Send:
        async def send_once_written(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await self._write(scope[SCOPE_KEY], message["status"])
            await send(message)

        return send_once_written

    async def _write(self, call: Call, status: int) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def written() -> None:
            with suppress(RuntimeError):  # the loop is gone, and with it whoever waits
                loop.call_soon_threadsafe(done.set)

        if not self.book.note(call, subject_of(call), status, written):
            return
        try:
            async with asyncio.timeout(self.wait_s):
                await done.wait()
        except TimeoutError:
            LOGGER.warning("the refusal of request %s is answered before it is in the audit trail: the database is slow", call.request_id)


def under_admin(path: str) -> bool:
    """Whether a path is meant for operators, also written in another case, with slashes doubled or a dot between them."""
    return _ADMIN.match(path) is not None


def subject_of(call: Call) -> str:
    """Method and path in printable ASCII, cut, without what looks like a credential."""
    path = quote(loggable_path(call.path), safe="/:@!$&'()*+,;=~[]")
    return f"{call.method[:16]} {path[:SUBJECT_CHARACTERS]}"
