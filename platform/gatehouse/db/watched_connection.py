"""A connection to PostgreSQL that does not wait for ever where the server stands still."""

import logging
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event

LOG = logging.getLogger("gatehouse.database")
SILENT_S = 10.0
"""After so long without a byte it is seen whether the server still answers anybody."""
PROBE_TIMEOUT_S = 5
HOLD_NO_LOCKS = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000"
"""The server's side of POSTGRESQL_DEADLINES: what a machine that vanished has locked is free after some ten seconds, not two hours."""

Result = TypeVar("Result")


class WatchedConnection(psycopg.Connection[Any]):
    """Raises psycopg.OperationalError once the server hangs: it stopped, or what is between has swallowed the connection.

    Its kernel goes on acknowledging, so neither keepalives nor `tcp_user_timeout` notice. A statement that only takes long is
    waited for: a new connection is answered meanwhile.
    """

    silent_s = SILENT_S
    _parameters: dict[str, Any]

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        """Run what psycopg does on the connection to its end."""
        return super().wait(self._watched(gen), interval, timeout)

    def _watched(self, work: PQGen[Result]) -> Generator[Any, Any, Result]:
        begun = heard = time.monotonic()
        try:
            wanted = next(work)
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    heard = now
                elif now - heard >= self.silent_s:
                    self._probe(now - begun)
                    heard = time.monotonic()
                wanted = work.send(ready)
        except StopIteration as done:
            result: Result = done.value
            return result

    def _probe(self, waited_s: float) -> None:
        try:
            psycopg.connect(**self._parameters | {"connect_timeout": PROBE_TIMEOUT_S}).close()
        except psycopg.OperationalError as error:
            if "FATAL:" not in str(error):  # else it is there and only takes no more connections
                self.close()
                raise psycopg.OperationalError(f"PostgreSQL has not answered for {waited_s:.0f} s: it hangs") from None
        LOG.info("PostgreSQL has been at one statement for %.0f s; it answers others, so it is waited for", waited_s)


def watch(engine: Engine) -> None:
    """Have all connections of an engine watched."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: tuple[Any, ...], parameters: dict[str, Any]) -> WatchedConnection:
        connection = WatchedConnection.connect(*arguments, **parameters)
        connection._parameters = parameters
        connection.autocommit = True
        connection.execute(HOLD_NO_LOCKS)
        connection.autocommit = False
        return connection
