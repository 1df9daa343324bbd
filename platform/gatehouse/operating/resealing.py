"""What is encrypted under GATEHOUSE_SECRET_KEY, after it was changed: token keys, and the secrets that sign notices."""

from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.identity.sealing import Seal, TokenKeyUnreadable
from gatehouse.identity.token_keys import reseal_token_keys
from gatehouse.notices.targets import reseal_targets

SEALED_BEFORE = "what this database holds is sealed under another GATEHOUSE_SECRET_KEY than those that this server was started with"


def reseal(database: Database, actor: Actor, seal: Seal) -> list[str]:
    """Seal all of it under the current secret, or nothing; returns what was not. Raises Refused."""
    try:
        with database.write() as session:
            keys = reseal_token_keys(database.joined(session), actor, seal)
            return keys + [f"notice-target {tenant}" for tenant in reseal_targets(session, actor, seal)]
    except TokenKeyUnreadable as error:
        raise Refused(str(error), fact=SEALED_BEFORE) from None
