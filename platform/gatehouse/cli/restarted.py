"""Whether all servers know what was set: those that have not been restarted since would refuse what the next step makes them meet."""

from gatehouse.cli.deployment import Deployment
from gatehouse.cli.secret_settings import SecretSetting
from gatehouse.cli.usage_lines import counted
from gatehouse.db.audit_trail import AuditFilter, newest_entries
from gatehouse.db.clock import database_now
from gatehouse.errors import Refused
from gatehouse.server.process import FRESH, fresh
from gatehouse.server.store import list_processes


def check_restarted(deployment: Deployment, secret: SecretSetting, step: str) -> None:
    """Raises Refused, naming the servers that have been running since before the last `step` of the secret in this deployment."""
    with deployment.database.read() as session:
        taken = newest_entries(session, AuditFilter(action=f"secret.{step}", subject=secret.name), 1)
        serving = fresh(list_processes(session), database_now(session))
    older = [process for process in serving if taken and process.started_at < taken[0].at]
    if older:
        who = ", ".join(f"process {process.pid} on {process.host}" for process in older)
        killed = f"one that was killed counts for {FRESH.total_seconds():.0f} s more"
        raise Refused(f"{counted(len(older), 'server')} must be restarted first, or calls are refused there: {who}; {killed}")
