"""What was answered: what one process holds of it, on its disk and on the way into the database."""

from concurrent.futures import ThreadPoolExecutor

from gatehouse.db.session import Database
from gatehouse.limits.quota import QuotaBook
from gatehouse.settings import Settings
from gatehouse.usage.meter import Meter
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.retention import Retention
from gatehouse.usage.spool import LINE_BYTES, Bounds, Spool
from gatehouse.usage.sync import GroupSync


class Metering:
    """Spool, meter and recorder."""

    def __init__(self, settings: Settings, database: Database, process_id: str, quota: QuotaBook) -> None:
        """Raises OSError."""
        bounds = Bounds(
            min_free_bytes=settings.spool_min_free_bytes,
            max_backlog_bytes=settings.spool_max_bytes,
            margin_bytes=settings.max_calls_at_once * LINE_BYTES,
        )
        self.spool = Spool.open(settings.under_state(settings.spool_dir), process_id, bounds, durable=settings.usage_fsync)
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="usage-sync")
        self.recorder = Recorder(self.spool, database, quota.settle, Retention(database, settings.usage_retention_days))
        self.meter = Meter(self.spool, GroupSync(self.spool, self._syncing) if settings.usage_fsync else None)

    def close(self) -> None:
        """All that was metered goes into the database. Blocks."""
        self.meter.close()
        self._syncing.shutdown()
        self.recorder.close()
