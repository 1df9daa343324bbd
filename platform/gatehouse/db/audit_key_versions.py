"""Which versions of the audit key the rows of the audit trail need to be verified."""

from sqlalchemy import func, select
from sqlmodel import Session, col

from gatehouse.db.tables import AuditTable


def rows_by_key_version(session: Session) -> dict[int, int]:
    """Rows of the chain, by the version that their `mac` is made with."""
    version = col(AuditTable.key_version)
    found = session.execute(select(version, func.count()).where(version.is_not(None)).group_by(version))
    return {number: rows for number, rows in found if number is not None}
