"""Who is spared by brownouts: judged beside the calls while a window is near or open, and kept in memory for them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from gatehouse.db.session import Database
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints, Name
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
        self._judged: dict[Name, frozenset[str]] = {}
        self._judged_at: datetime | None = None

    def judge(self) -> None:
        """Find out who has moved, where that is not known or was found out a while ago. Raises what a database that is gone raises."""
        now = self._now()
        near = {(each.model, each.api_version): each for each in self._endpoints.all() if _near(each, now)}
        if near.keys() <= self._judged.keys() and (self._fresh(now) or not self._judged):
            return
        with self._database.read() as session:
            found = {name: moved_tenants(session, *name, _successor(each), now) for name, each in near.items()}
        self._judged, self._judged_at = found, now
        self._endpoints.spare(found)

    def _fresh(self, now: datetime) -> bool:
        return self._judged_at is not None and abs(now - self._judged_at) < JUDGED_FOR


def _near(endpoint: Endpoint, now: datetime) -> bool:
    """Whether a brownout that spares anybody is open or will be soon."""
    planned = (window for window in endpoint.brownouts if window.key_id is None)
    return endpoint.deprecation is not None and any(window.starts_at - NEAR <= now < window.ends_at for window in planned)


def _successor(endpoint: Endpoint) -> str:
    return endpoint.deprecation.successor if endpoint.deprecation else endpoint.api_version
