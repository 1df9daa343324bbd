"""Revocation of one access token before its end (RFC 7009)."""

from datetime import UTC, datetime

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.identity.token_keys import CLOCKS_APART
from gatehouse.identity.token_store import add_revoked_token, remove_revoked_tokens, token_revoked
from gatehouse.identity.tokens import PersonClaims, TokenClaims


def revoke_token(database: Database, claims: TokenClaims | PersonClaims, now: float, actor: Actor) -> None:
    """Stop this token everywhere; more than once does no harm. What has ended by itself is forgotten on the way."""
    moment = datetime.fromtimestamp(now, UTC)
    with database.write() as session:
        hold_revision(session)
        remove_revoked_tokens(session, moment - CLOCKS_APART)
        if token_revoked(session, claims.jti):
            return
        holder = claims.person_id if isinstance(claims, PersonClaims) else claims.key_id
        add_revoked_token(session, claims.jti, holder, datetime.fromtimestamp(claims.expires_at, UTC), moment)
        record_change(session, "token", claims.jti)
        record_audit(session, actor, "token.revoke", claims.jti, {"holder": holder})


def is_revoked(database: Database, jti: str) -> bool:
    """Whether the token of this id was stopped."""
    with database.read() as session:
        return token_revoked(session, jti)
