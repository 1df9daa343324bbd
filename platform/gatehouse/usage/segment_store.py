"""How far each segment of a spool stands in the database, for who reads all of them."""

from sqlalchemy import select
from sqlmodel import Session

from gatehouse.usage.store import SEGMENTS


def taken_bytes(session: Session) -> dict[str, int]:
    """Bytes that have been taken, by the segment's id; a segment of which nothing was taken yet, or that is gone, is not there."""
    return {row.id: row.taken_bytes for row in session.execute(select(SEGMENTS.c.id, SEGMENTS.c.taken_bytes))}
