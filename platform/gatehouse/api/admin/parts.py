"""What the routes under `/admin` need of the rooms."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gatehouse.api.throttle import Throttle, by_key
from gatehouse.db.session import Database
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.proof import Prover


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

    def limited(self, route: Callable[..., Any]) -> Callable[..., Any]:
        """The route under the throttle."""
        bounded: Callable[..., Any] = self.throttle.limit(f"{self.per_minute}/minute", key_func=by_key)(route)
        return bounded
