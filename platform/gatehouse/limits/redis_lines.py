"""Connections to Redis: few, each kept open, with one deadline for all that a question takes."""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as LineBroken
from redis.exceptions import NoScriptError, RedisError, ResponseError

LINES = 16
DEADLINE_S = 0.5
"""Longer than a busy event loop stands still; beyond it this process goes on without Redis."""
RUN_ID = "run_id:"


class RedisUnavailable(Exception):
    """Redis does not decide now."""


class RedisUnanswered(RedisUnavailable):
    """There was no answer in time: what was asked may have been done, or be done later."""


class RedisRefused(RedisUnavailable):
    """Redis answered with an error: nothing was done."""


class RedisUrlInvalid(ValueError):
    """One line that says what to write; it never holds the URL, which may have a password."""


class _Line:
    """A connection and the run of the server that it leads to, which is another one after a restart or on a replica."""

    def __init__(self, connection: AbstractConnection) -> None:
        self.connection = connection
        self.run = ""

    async def ask(self, *command: Any) -> Any:
        await self.connection.send_command(*command, check_health=False)
        return await self.connection.read_response(timeout=math.inf)  # the deadline is the caller's

    async def open(self) -> None:
        await self.connection.connect()  # type: ignore[no-untyped-call]
        try:
            said = str(await self.ask("INFO", "server"))
        except ResponseError:
            said = ""  # not allowed by the server's rules for this user: a restart with data is then not noticed
        self.run = next((line[len(RUN_ID) :].strip() for line in said.splitlines() if line.startswith(RUN_ID)), "unknown")

    async def close(self) -> None:
        await self.connection.disconnect(nowait=True)


class RedisLines:
    """At most `most` connections, opened when they are needed. Used on one event loop."""

    def __init__(self, url: str, script: str, *, most: int = LINES, deadline_s: float = DEADLINE_S) -> None:
        self._script = script
        self._sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        self._deadline_s = deadline_s
        self._places = asyncio.Semaphore(most)
        self._free: list[_Line] = []
        try:
            self._pool = ConnectionPool.from_url(
                url, protocol=2, decode_responses=True, socket_timeout=None, socket_connect_timeout=deadline_s, driver_info=None
            )
        except ValueError:
            raise RedisUrlInvalid("must be redis://HOST:PORT/NUMBER, rediss://… or unix://PATH") from None

    async def time_us(self) -> int:
        """The server's clock, in µs since 1970. Raises RedisUnavailable."""
        seconds, microseconds = await self._answer("TIME")
        return int(seconds) * 1_000_000 + int(microseconds)

    async def memory_policy(self) -> str:
        """What the server does when its memory is full; empty where it does not say. Raises RedisUnavailable."""
        said = str(await self._answer("INFO", "memory"))
        return next((line.partition(":")[2].strip() for line in said.splitlines() if line.startswith("maxmemory_policy:")), "")

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove what is stored. Raises RedisUnavailable."""
        await self._answer("DEL", *keys)

    async def run(self, keys: Sequence[str], operation: str, *arguments: Any) -> list[str]:
        """The words that the script answers to `operation`, the server's run and `arguments`. Raises RedisUnavailable."""
        answer: str = await self._answer(None, keys, operation, arguments)
        return answer.split(" ")

    async def close(self) -> None:
        """Close what is open."""
        free, self._free = self._free, []
        for line in free:
            await line.close()

    async def _answer(self, *question: Any) -> Any:
        try:
            async with asyncio.timeout(self._deadline_s), self._places:
                return await self._ask(question)
        except ResponseError as error:
            raise RedisRefused(type(error).__name__) from error
        except (TimeoutError, RedisError, OSError) as error:
            raise RedisUnanswered(type(error).__name__) from error

    async def _ask(self, question: Sequence[Any]) -> Any:
        if self._free:
            try:
                return await self._on(self._free.pop(), question)
            except LineBroken:  # the server closed it while it was idle, or was restarted: the other ones are as old
                await self.close()
        line = _Line(self._pool.make_connection())  # type: ignore[no-untyped-call]
        return await self._on(line, question)

    async def _on(self, line: _Line, question: Sequence[Any]) -> Any:
        try:
            if not line.run:
                await line.open()
            answer = await (line.ask(*question) if question[0] else self._on_script(line, *question[1:]))
        except BaseException:
            await line.close()  # whatever is still to be read on it would be taken for the next answer
            raise
        self._free.append(line)
        return answer

    async def _on_script(self, line: _Line, keys: Sequence[str], operation: str, arguments: Sequence[Any]) -> Any:
        rest = (len(keys), *keys, operation, line.run, *arguments)
        try:
            return await line.ask("EVALSHA", self._sha, *rest)
        except NoScriptError:
            return await line.ask("EVAL", self._script, *rest)
