"""Whether all servers know what was set: those that have not been restarted since would refuse what the next step makes them meet."""

from gatehouse.db.audit_trail import AuditFilter, newest_entries
from gatehouse.db.clock import database_now
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.server.process import FRESH, fresh
from gatehouse.server.store import list_processes


def check_restarted(database: Database, secret: str, step: str) -> None:
    """Raises Refused, naming the servers that have been running since before the last `step` of a secret in this deployment."""
    with database.read() as session:
        taken = newest_entries(session, AuditFilter(action=f"secret.{step}", subject=secret), 1)
        serving = fresh(list_processes(session), database_now(session))
    older = [process for process in serving if taken and (taken[0].at is None or process.started_at < taken[0].at)]
    if older:
        who = ", ".join(f"process {process.pid} on {process.host}" for process in older)
        killed = f"one that was killed counts for {FRESH.total_seconds():.0f} s more"
        count = "1 server" if len(older) == 1 else f"{len(older)} servers"
        raise Refused(f"{count} must be restarted first, or calls are refused there: {who}; {killed}")
