"""What the identity room reads and writes of token keys and of revoked tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, update
from sqlmodel import Session, col, select

from gatehouse.db.tables import RevokedTokenTable, TokenKeyTable


@dataclass(frozen=True, slots=True)
class TokenKey:
    """`private_sealed` is empty once the key signs no more and its last token has ended."""

    kid: str
    public_pem: str
    private_sealed: bytes
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None = None


def add_token_key(session: Session, key: TokenKey) -> None:
    values = {"kid": key.kid, "public_pem": key.public_pem, "private_sealed": key.private_sealed}
    times = {"created_at": key.created_at, "signs_from": key.signs_from, "retired_at": key.retired_at}
    session.execute(insert(TokenKeyTable).values(**values, **times))


def list_token_keys(session: Session) -> list[TokenKey]:
    """All token keys in the order in which they sign."""
    keys = [
        TokenKey(row.kid, row.public_pem, row.private_sealed, row.created_at, row.signs_from or row.created_at, row.retired_at)
        for row in session.exec(select(TokenKeyTable))
    ]
    return sorted(keys, key=lambda key: (key.signs_from, key.kid))


def seal_token_key(session: Session, kid: str, private_sealed: bytes) -> None:
    """Put another sealed private half, or none, in place of a key's own."""
    _change_token_key(session, kid, private_sealed=private_sealed)


def retire_token_key(session: Session, kid: str, at: datetime) -> None:
    """Verify nothing by it any more, and forget its private half."""
    _change_token_key(session, kid, private_sealed=b"", retired_at=at)


def add_revoked_token(session: Session, jti: str, key_id: str, expires_at: datetime, revoked_at: datetime) -> None:
    values = {"jti": jti, "key_id": key_id, "expires_at": expires_at, "revoked_at": revoked_at}
    session.execute(insert(RevokedTokenTable).values(**values))


def token_revoked(session: Session, jti: str) -> bool:
    return session.exec(select(RevokedTokenTable.jti).where(RevokedTokenTable.jti == jti)).first() is not None


def remove_revoked_tokens(session: Session, ended_before: datetime) -> None:
    """Remove those that no clock takes for valid any more."""
    session.execute(delete(RevokedTokenTable).where(col(RevokedTokenTable.expires_at) < ended_before))


def _change_token_key(session: Session, kid: str, **values: Any) -> None:
    session.execute(update(TokenKeyTable).where(col(TokenKeyTable.kid) == kid).values(**values))
