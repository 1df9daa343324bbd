"""Rows that soft quotas let in: counted in memory, and in the database behind, as part of this process's block."""

from collections.abc import Callable
from datetime import datetime
from threading import Lock

from gatehouse.limits.holding import BLOCK_LEASE
from gatehouse.limits.store import QuotaStore


class SoftRows:
    """Thread-safe. `now` is an aware clock."""

    def __init__(self, store: QuotaStore, process_id: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._process_id = process_id
        self._now = now
        self._pending: dict[tuple[str, str], int] = {}
        self._lock = Lock()  # never held while the database is asked

    def add(self, tenant_id: str, month: str, rows: int) -> None:
        """Rows that were let in, or fewer than none for those that come back. Quick."""
        key = (tenant_id, month)
        with self._lock:
            self._pending[key] = self._pending.get(key, 0) + rows

    def flush(self) -> bool:
        """Count them; whether there were any. Blocks; raises what a database that is gone raises, and then keeps them."""
        with self._lock:
            pending, self._pending = self._pending, {}
        counts = {key: rows for key, rows in pending.items() if rows}
        if not counts:
            return False
        try:
            self._store.count(self._process_id, counts, self._now() + BLOCK_LEASE)
        except BaseException:
            for key, rows in counts.items():
                self.add(*key, rows)
            raise
        return True
