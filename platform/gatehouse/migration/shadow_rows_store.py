"""Where sums of shadows are: three tables by tenant, endpoint, other version and day."""

from datetime import UTC, date, datetime

from sqlalchemy import Table

from gatehouse.db.tables import ShadowDayTable, ShadowShiftTable, UpgradeFailureTable

DAYS: Table = ShadowDayTable.__table__  # type: ignore[attr-defined]
SHIFTS: Table = ShadowShiftTable.__table__  # type: ignore[attr-defined]
FAILURES: Table = UpgradeFailureTable.__table__  # type: ignore[attr-defined]
ALL = (DAYS, SHIFTS, FAILURES)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - EPOCH).days
