"""Engines and sessions: SQLite in WAL or PostgreSQL, always synchronous, writes serialised on SQLite by BEGIN IMMEDIATE."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from gatehouse.db.audit_chain import AuditTrailUnfit, chain_pending
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.revision import hold_revision
from gatehouse.db.revision_watch import RevisionWatch

BUSY_TIMEOUT_MS = 10_000
WRITE = "write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME, with @ : / ? # in the password percent-encoded"
POSTGRESQL_DEADLINES = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Seconds, the last one milliseconds. A server that vanished without a word is noticed after some ten seconds; by default it
would be a quarter of an hour, in which no change is seen."""
GONE = (DBAPIError, PoolTimeout, AuditTrailUnfit)
"""What a session raises when the database cannot be reached, or takes no change."""


class DatabaseUnreachable(Exception):
    """No connection before the time was up. The message is one line without the password."""


class DatabaseUrlInvalid(ValueError):
    """The URL names no database that Gatehouse knows."""


class Database:
    """One database: `read()` and `write()` hand out sessions; `write()` commits at its end or rolls back.

    What is audited in a `write()` is sealed by `audit_keys`; without them that raises AuditKeyMissing.
    It raises AuditTrailUnfit where the trail is not as it was left.
    Both raise sqlalchemy.exc.OperationalError (or DBAPIError) when the database is gone.
    """

    def __init__(self, engine: Engine, audit_keys: AuditKeys | None = None) -> None:
        self.engine = engine
        self.audit_keys = audit_keys
        self.revision_watch = RevisionWatch(engine)
        self._proved: set[int] = set()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; what it changes is rolled back."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed together, or not at all."""
        with Session(self.engine.execution_options(gatehouse_write=True), expire_on_commit=False) as session, session.begin():
            yield session
            chain_pending(session, self.audit_keys, self._proved)

    def guarded(self, check: Callable[[Session], None]) -> "Database":
        """The same database, whose every write first holds the revision and runs `check`: what it finds stands until the commit."""
        return _GuardedDatabase(self, check)

    def joined(self, session: Session) -> "Database":
        """The same database, all of whose reads and writes are part of the transaction of `session`, which others commit.

        What guards this one has been checked as that transaction began, and is not checked again: it may have changed what it saw.
        """
        return _JoinedDatabase(self.engine, self.audit_keys, session)

    def close(self) -> None:
        self.engine.dispose()


class _GuardedDatabase(Database):
    """Around another one, whatever its writes do before: a transaction of its own, that of others, or further checks."""

    def __init__(self, guarded: Database, check: Callable[[Session], None]) -> None:
        super().__init__(guarded.engine, guarded.audit_keys)
        self._guarded = guarded
        self._check = check

    @contextmanager
    def read(self) -> Iterator[Session]:
        with self._guarded.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        with self._guarded.write() as session:
            hold_revision(session)
            self._check(session)
            yield session


class _JoinedDatabase(Database):
    def __init__(self, engine: Engine, audit_keys: AuditKeys | None, session: Session) -> None:
        super().__init__(engine, audit_keys)
        self._session = session

    @contextmanager
    def read(self) -> Iterator[Session]:
        yield self._session

    @contextmanager
    def write(self) -> Iterator[Session]:
        yield self._session


def open_database(url: str, audit_keys: AuditKeys | None = None) -> Database:
    """The database behind `sqlite:///PATH` or `postgresql://…` (psycopg 3). Connects on first use. Whoever makes changes gives keys.

    Raises DatabaseUrlInvalid.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the error's own words may hold a part of the password
        raise DatabaseUrlInvalid(f"not a database URL; {WRITE}") from None
    backend = parsed.get_backend_name()
    if "@" in (parsed.host or "") or "password" in parsed.query:
        raise DatabaseUrlInvalid(f"the password is not where it belongs; {WRITE}")
    if backend == "postgresql":
        from gatehouse.db.watched_connection import watch  # with psycopg, which takes 50 ms that nobody else need wait for

        parsed = parsed.set(drivername="postgresql+psycopg")
        pool = {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 10, "pool_timeout": 5}
        postgresql = create_engine(parsed, hide_parameters=True, connect_args=dict(POSTGRESQL_DEADLINES), **pool)
        watch(postgresql)
        return Database(postgresql, audit_keys)
    if backend != "sqlite":
        raise DatabaseUrlInvalid(f"'{backend}' is not supported; {WRITE}")
    # hide_parameters, here and above: a statement that fails is logged, and its values may be digests or ids of tokens
    engine = create_engine(parsed.set(drivername="sqlite+pysqlite"), hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, audit_keys)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves, see _begin_sqlite
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # IMMEDIATE for writes: a transaction that starts as a reader and then writes fails at once when another one wrote meanwhile
    write = connection.get_execution_options().get("gatehouse_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


FINAL = ("password authentication failed", 'database "', 'role "')
"""What PostgreSQL answers where no waiting helps."""


def wait_until_reachable(database: Database, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Try to connect until it works. Raises DatabaseUnreachable after `seconds`, or at once where waiting cannot help."""
    deadline = time.monotonic() + seconds
    pause = 0.1
    while True:
        try:
            with database.engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
            return
        except OperationalError as error:
            cause = str(error.orig).strip().splitlines()[0] if error.orig else "no connection"
            if time.monotonic() + pause > deadline or any(words in cause for words in FINAL):
                shown = database.engine.url.render_as_string(hide_password=True)
                remedy = "make room on its disk" if "disk" in cause else "check GATEHOUSE_DATABASE_URL"
                raise DatabaseUnreachable(f"the database {shown} cannot be reached: {cause}; {remedy}") from None
        sleep(pause)
        pause = min(pause * 2, 2.0)
