"""What the routes under `/admin` need of the rooms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gatehouse.api.throttle import Throttle, by_key
from gatehouse.db.session import Database
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.proof import Prover
from gatehouse.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    database: Database
    peppers: Peppers
    prover: Prover
    """Proves who asks anew within each change."""
    throttle: Throttle
    per_minute: int
    """Calls of one caller to one route."""
    now: Callable[[], datetime]
    settings: Settings
    """They name the folder of published versions."""
    status: Callable[[], Mapping[str, Any]]
    """How the deployment is right now, over all machines."""
    check_restarted: Callable[[], None]
    """Raises Refused while a server runs that was started before the newest GATEHOUSE_SECRET_KEY was made."""

    def limited(self, route: Callable[..., Any]) -> Callable[..., Any]:
        """The route under the throttle."""
        bounded: Callable[..., Any] = self.throttle.limit(f"{self.per_minute}/minute", key_func=by_key)(route)
        return bounded
