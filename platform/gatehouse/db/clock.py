"""The clock that all processes of a deployment share."""

from datetime import UTC, datetime

from sqlmodel import Session, func, select


def database_now(session: Session) -> datetime:
    """PostgreSQL's time, or that of the one machine that has the SQLite file. It goes on while a transaction waits."""
    if session.get_bind().dialect.name != "postgresql":
        return datetime.now(UTC)
    moment: datetime = session.exec(select(func.clock_timestamp())).one()
    return moment.astimezone(UTC)
