"""Where a row of the audit trail that does not fit was written: swapped rows still bear the seals of their own places."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session, select

from gatehouse.db.audit_chain import FIRST_MAC, chained_row
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.audit_trail import AT_ONCE, TRAIL, paced


def where_from(session: Session, keys: AuditKeys, row: Row[Any], pause: Callable[[], None]) -> int | None:
    """The other place for which the row was sealed; None where there is none. Looks at every place once."""
    moved = chained_row(row)
    before = FIRST_MAC
    places = select(TRAIL.c.sequence, TRAIL.c.id, TRAIL.c.mac).where(TRAIL.c.sequence.is_not(None)).order_by(TRAIL.c.sequence)
    with closing(session.execute(places.execution_options(yield_per=AT_ONCE))) as found:
        for place in paced(found, pause):
            if place.sequence != row.sequence:
                for id in {row.id, place.id}:
                    claimed = replace(moved, sequence=place.sequence, id=id)
                    # `place.mac` and the row's own come before it where neighbours were swapped with their seals
                    if any(claimed.seal(keys, mac) in (row.mac, place.mac) for mac in {before, place.mac, row.mac}):
                        return int(place.sequence)
            before = place.mac
    return None
