"""What a deployment keeps of its nouns, to see whether a call has changed it."""

from typing import Any

from sqlmodel import Session, SQLModel, select

NOUNS = (
    "plan",
    "tenant",
    "grant",
    "api_key",
    "token_key",
    "revoked_token",
    "person",
    "endpoint",
    "endpoint_extension",
    "brownout",
    "notice_target",
)
"""Tables that only a change by somebody changes."""
PASSING = frozenset({"last_used_at", "last_login_at"})
"""Columns that a call by itself may move on."""


def kept_state(session: Session) -> dict[str, list[Any]]:
    """All rows of these tables, by table."""
    tables = [SQLModel.metadata.tables[name] for name in NOUNS]
    columns = {table.name: [column for column in table.columns if column.name not in PASSING] for table in tables}
    return {name: sorted(map(repr, session.exec(select(*chosen)))) for name, chosen in columns.items()}  # type: ignore[call-overload]
