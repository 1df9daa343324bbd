"""The revision, looked at many times a second."""

from contextlib import suppress
from typing import Any

from sqlalchemy import Engine

STATEMENT = "SELECT value FROM revision WHERE id = 1"


class RevisionWatch:
    """One statement on a connection of its own: a session with its transaction would cost several times as much. Of one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Any = None

    def read(self) -> int:
        """The number of the last change. Raises what the driver or the pool raises, and connects anew the next time."""
        try:
            if self._connection is None:
                self._connect()
            cursor = self._connection.cursor()
            cursor.execute(STATEMENT)
            (revision,) = cursor.fetchone()
            cursor.close()  # with it ends what SQLite holds of the moment that was seen
        except BaseException:
            self.close()
            raise
        return int(revision)

    def close(self) -> None:
        """Give the connection up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _connect(self) -> None:
        self._connection = connection = self._engine.raw_connection()
        connection.detach()  # the pool has it back never: whoever is next would find it as it is made here
        if self._engine.dialect.name == "postgresql":
            connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]
