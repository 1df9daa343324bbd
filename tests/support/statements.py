"""What a call asks of the database."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event
from stage import Live

BESIDE_THE_ROAD = (
    "changes",
    "key-uses",
    "audit",
    "usage-recorder",
    "process",
    "notices-database",
    "quotas",
    "ends of endpoints",
    "figures of shadows",
)
"""Threads that use the database beside the road of a call, by how their names begin."""


@contextmanager
def statements(live: Live) -> Iterator[list[tuple[str, str]]]:
    """Thread and text of each statement meanwhile, without its conditions, but for those of the threads beside the road."""
    seen: list[tuple[str, str]] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        thread = threading.current_thread().name
        if not thread.startswith(BESIDE_THE_ROAD):
            seen.append((thread, statement.split(" WHERE ")[0]))

    event.listen(live.app.database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(live.app.database.engine, "before_cursor_execute", note)
