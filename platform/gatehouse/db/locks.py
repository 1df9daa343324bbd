"""Waiting for rows that another transaction has locked: not for ever, since its process may stand still."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

_LOCK_NOT_AVAILABLE = "55P03"


def bound_lock_waits(session: Session, milliseconds: int) -> None:
    """Until the end of its transaction a statement that waits longer for a lock fails. On PostgreSQL: SQLite has its one writer."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SET LOCAL lock_timeout = {milliseconds:d}"))


def waited_too_long(error: BaseException) -> bool:
    """Whether it is what such a statement raises."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE
