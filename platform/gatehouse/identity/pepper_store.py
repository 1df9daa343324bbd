"""How much in the database stands under each version of the pepper."""

from collections import Counter
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col

from gatehouse.db.tables import ApiKeyTable, PersonTable


def keys_by_pepper(session: Session, now: datetime) -> Counter[int]:
    """Keys that are not revoked, by each version that one of their secrets needs."""
    current, previous = col(ApiKeyTable.pepper_version), col(ApiKeyTable.previous_pepper_version)
    usable = col(ApiKeyTable.revoked_at).is_(None)
    in_grace = (previous.is_not(None), previous != current, col(ApiKeyTable.grace_ends_at) > now)
    return _counted(session, current, usable) + _counted(session, previous, usable, *in_grace)


def codes_by_pepper(session: Session, now: datetime) -> Counter[int]:
    """People's one-time codes that have not ended."""
    return _counted(
        session,
        col(PersonTable.code_pepper_version),
        col(PersonTable.code_digest).is_not(None),
        col(PersonTable.code_expires_at) > now,
    )


def _counted(session: Session, version: Mapped[int] | Mapped[int | None], *where: ColumnElement[bool]) -> Counter[int]:
    found = session.execute(select(version, func.count()).where(*where).group_by(version))
    return Counter({number: count for number, count in found if number is not None})
