"""Who is spared by brownouts: judged beside the calls while a window is near or open, and kept in memory for them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from gatehouse.db.session import Database
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.moves_store import moved_tenants

NEAR = timedelta(minutes=10)
"""So long before a window opens it is judged for the first time."""
JUDGED_FOR = timedelta(seconds=30)


class Sparing:
    """Used by one thread."""

    def __init__(self, database: Database, endpoints: Endpoints, now: Callable[[], datetime]) -> None:
        self._database = database
        self._endpoints = endpoints
        self._now = now
        self._judged: dict[str, frozenset[str]] = {}
        self._judged_at: datetime | None = None

    def judge(self) -> None:
        """Find out who has moved, where that is not known or was found out a while ago. Raises what a database that is gone raises."""
        now = self._now()
        near = [(endpoint, ids) for endpoint in self._endpoints.all() if (ids := _near(endpoint, now))]
        known = all(id in self._judged for _, ids in near for id in ids)
        if known and (self._fresh(now) or not self._judged):
            return
        found: dict[str, frozenset[str]] = {}
        with self._database.read() as session:
            for endpoint, ids in near:
                moved = moved_tenants(session, endpoint.model, endpoint.api_version, _successor(endpoint), now)
                found.update(dict.fromkeys(ids, moved))
        self._judged, self._judged_at = found, now
        self._endpoints.spare(found)

    def _fresh(self, now: datetime) -> bool:
        return self._judged_at is not None and abs(now - self._judged_at) < JUDGED_FOR


def _near(endpoint: Endpoint, now: datetime) -> list[str]:
    """Ids of the brownouts that are open or will be soon, and spare those who have moved."""
    planned = (window for window in endpoint.brownouts if window.key_id is None)
    return [window.id for window in planned if window.starts_at - NEAR <= now < window.ends_at]


def _successor(endpoint: Endpoint) -> str:
    return endpoint.deprecation.successor if endpoint.deprecation else endpoint.api_version
