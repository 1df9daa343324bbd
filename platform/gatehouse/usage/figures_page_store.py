"""Usage read page by page: the figures behind a place, however many there are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Label, tuple_
from sqlmodel import Session

from gatehouse.usage.figures_store import EPOCH, By, Figures, UsageFilter, day_number, figures_of, read_figures

Place = tuple[str | int, ...]
"""Values of the columns that figures are by: numbers of days and hours since 1970, names, ids and statuses."""
LARGEST = 2**31 - 1
SECONDS_AN_HOUR = 3600


def page_of_figures(session: Session, wanted: UsageFilter, by: Sequence[By], after: Place | None, limit: int) -> list[Figures]:
    """At most so many figures behind a place, in the order of what they are by, of which there is at least one."""
    statement, groups = figures_of(wanted, by)
    if after is not None:
        columns = [each.element if isinstance(each, Label) else each for each in groups]
        statement = statement.where(tuple_(*columns) > tuple_(*after))
    return read_figures(session, statement.order_by(*groups).limit(limit))


def place_of(figures: Figures, by: Sequence[By]) -> Place:
    """Behind which the next figures come."""
    return tuple(value for each in By if each in by for value in _values(figures, each))


def place_kinds(by: Sequence[By]) -> list[Any]:
    """What reads each step of a place from its text; raises ValueError."""
    kinds: dict[By, list[Any]] = {By.DAY: [day_step], By.HOUR: [day_step], By.STATUS: [day_step], By.TENANT: [str, str]}
    return [kind for each in By if each in by for kind in kinds.get(each, [str])]


def _values(figures: Figures, by: By) -> list[Any]:
    if by is By.DAY and figures.day:
        return [day_number(figures.day)]
    if by is By.HOUR and figures.hour:
        return [int((figures.hour - EPOCH).total_seconds()) // SECONDS_AN_HOUR]
    if by is By.TENANT:
        return [figures.tenant, figures.tenant_id]
    return [getattr(figures, "key_id" if by is By.KEY else by.value)]


def day_step(step: str) -> int:
    """Number of a day, an hour or a status. Raises ValueError for what no database takes."""
    number = int(step)
    if not 0 <= number <= LARGEST:
        raise ValueError("beyond all figures")
    return number
