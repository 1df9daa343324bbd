"""May they call now: what one process holds of it."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import timedelta

from gatehouse.composition.clocks import monotonic_us, new_event_id, utc_now
from gatehouse.db.session import GONE, Database
from gatehouse.limits.concurrency import Concurrency
from gatehouse.limits.deployment_rates import DeploymentRates
from gatehouse.limits.gate import Gate
from gatehouse.limits.idempotency import Idempotency
from gatehouse.limits.idempotency_key import Digester
from gatehouse.limits.idempotency_store import IdempotencyStore
from gatehouse.limits.keyed_calls import KeyedCalls
from gatehouse.limits.observed import Observed
from gatehouse.limits.quota import QuotaBook
from gatehouse.limits.redis_lines import RedisLines
from gatehouse.limits.redis_rates import SCRIPT, RedisRates
from gatehouse.limits.standing import Standings
from gatehouse.limits.standing_store import StandingStore
from gatehouse.limits.store import QuotaStore
from gatehouse.limits.watch import Watch
from gatehouse.server.tending import Duty, Tender
from gatehouse.settings import Settings

LOG = logging.getLogger("gatehouse.limits")
RECALLS_EVERY_S = 0.2
STANDINGS_EVERY_S = 0.5
COUNT_SOFT_EVERY_S = 2.0
PRUNE_CLAIMS_EVERY_S = 5.0
RETURN_IDLE_QUOTA_S = 10.0
SETTLE_EXPIRED_EVERY_S = 60.0


class Limits:
    """Rates, quotas, calls at once, and calls that are metered once."""

    def __init__(
        self, settings: Settings, database: Database, process_id: str, threads: Executor, live_processes: Callable[[], int]
    ) -> None:
        """Raises RedisUrlInvalid."""
        self.idempotency = _idempotency(settings, database, process_id, threads)
        self.concurrency = Concurrency(
            settings.max_calls_at_once,
            settings.max_calls_at_once_per_tenant,
            waiting=settings.max_calls_waiting,
            wait_s=settings.waiting_deadline_s,
        )
        self.quota = QuotaBook(QuotaStore(database), process_id, live_processes, utc_now)
        self.rates = DeploymentRates(monotonic_us, live_processes, _redis_rates(settings, process_id))
        store = StandingStore(database)
        self.standings, self.observed = Standings(store, utc_now), Observed(store, utc_now)
        self.watch = Watch(self.rates, self.standings, self.observed)
        self.gate = Gate(self.rates, self.concurrency, self.quota, threads, self.watch)
        self.tender = Tender("quotas", "what calls hold of their quotas is spent from memory", self._duties())

    def _duties(self) -> list[Duty]:
        return [
            Duty(RECALLS_EVERY_S, self.quota.answer_recalls),
            Duty(STANDINGS_EVERY_S, self.standings.refresh),
            Duty(COUNT_SOFT_EVERY_S, self.quota.count_soft),
            Duty(RETURN_IDLE_QUOTA_S, self.quota.return_idle),
            Duty(RETURN_IDLE_QUOTA_S, self.observed.flush),
            Duty(SETTLE_EXPIRED_EVERY_S, self.quota.settle_expired),
            Duty(PRUNE_CLAIMS_EVERY_S, self.idempotency.prune),
        ]

    def give_back(self) -> None:
        """At the end, once no call is under way: rows held ahead go back, and what was observed is written down. Blocks."""
        self.quota.close()
        try:
            self.observed.flush()
        except GONE:
            LOG.warning("what observed limits would have refused since the last time was not written down")


def _idempotency(settings: Settings, database: Database, process_id: str, threads: Executor) -> Idempotency:
    calls = KeyedCalls()
    lease = timedelta(seconds=2 * settings.prediction_deadline_s + 60)  # longer than any call is under way
    store = IdempotencyStore(database, process_id, calls, lease)
    return Idempotency(store, calls, Digester(*settings.secret_keys), threads, new_event_id)


def _redis_rates(settings: Settings, process_id: str) -> RedisRates | None:
    """What decides on the rates of all processes; None where there is no Redis."""
    url = settings.redis_url.get_secret_value()
    return RedisRates(RedisLines(url, SCRIPT), process_id) if url else None
