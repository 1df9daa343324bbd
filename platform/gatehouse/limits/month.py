"""The calendar month (UTC) that a quota runs over."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Month:
    name: str
    """`YYYY-MM`."""
    start: datetime
    end: datetime
    """The start of the next month."""

    def holds(self, moment: datetime) -> bool:
        """Whether the moment lies in this month."""
        return self.start <= moment < self.end


def month_of(moment: datetime) -> Month:
    """The month of an aware moment."""
    start = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, following = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    return Month(f"{start:%Y-%m}", start, start.replace(year=year, month=following))
