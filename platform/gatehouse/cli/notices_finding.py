"""What `gatehouse doctor` finds of webhooks."""

from gatehouse.cli.finding import Finding
from gatehouse.db.session import Database
from gatehouse.identity.sealing import Seal, readable
from gatehouse.notices.target_store import list_targets
from gatehouse.notices.targets import sealed_name
from gatehouse.settings import Settings


def notices_finding(settings: Settings, database: Database) -> Finding:
    """Whether the targets take what they are sent, and whether it can be signed."""
    seal = Seal(*settings.secret_keys)
    with database.read() as session:
        targets = list_targets(session)
    unreadable = [each.tenant for each in targets if readable(seal, sealed_name(each.tenant_id), each.secret_sealed) is None]
    if unreadable:
        detail = f"GATEHOUSE_SECRET_KEY does not open the secret of {', '.join(unreadable)}"
        return Finding("notices", "warning", detail, f"a new one for the partner: gatehouse notice-targets rotate {unreadable[0]}")
    failing = [f"{each.tenant} ({each.failing_reason})" for each in targets if each.failing_since]
    if failing:
        return Finding("notices", "warning", f"targets that take nothing: {', '.join(failing)}", "gatehouse notice-targets list")
    return Finding("notices", "ok", f"{len(targets)} targets, none is failing")
