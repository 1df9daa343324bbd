"""Reminds tenants that the end of an endpoint is near: looked at now and then by every process, told once."""

from collections.abc import Callable
from datetime import datetime, timedelta

from gatehouse.db.revision import hold_revision
from gatehouse.db.session import Database
from gatehouse.migration.announcing import NEAR_DAYS, Herald, reminders
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.store import find_endpoint


class Reminding:
    """Used by one thread."""

    def __init__(self, database: Database, endpoints: Endpoints, herald: Herald, now: Callable[[], datetime]) -> None:
        self._database = database
        self._endpoints = endpoints
        self._herald = herald
        self._now = now

    def remind(self) -> None:
        """Tell what is due today. Raises what a database that is gone raises."""
        now = self._now()
        for endpoint in self._endpoints.all():
            if _near(endpoint, now) and self._anything(endpoint, now):
                self._tell(endpoint, now)

    def _anything(self, endpoint: Endpoint, now: datetime) -> bool:
        with self._database.read() as session:  # nearly always there is nothing, which needs no write lock
            return next(reminders(session, endpoint, now.date()), None) is not None

    def _tell(self, known: Endpoint, now: datetime) -> None:
        """By what the endpoint is in the transaction that tells it: its end may have been moved meanwhile."""
        with self._database.write() as session:
            hold_revision(session)
            endpoint = find_endpoint(session, known.model, known.api_version)
            if endpoint is not None and endpoint.state == "deprecated":
                for reminder in list(reminders(session, endpoint, now.date())):
                    self._herald.remind(session, endpoint, reminder, now.date())


def _near(endpoint: Endpoint, now: datetime) -> bool:
    """Whether anybody's end may be so near, or was until today."""
    ending = endpoint.deprecation
    return endpoint.state == "deprecated" and ending is not None and ending.sunset - timedelta(days=NEAR_DAYS[-1]) <= now.date()
