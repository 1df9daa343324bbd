"""Rows of the audit trail as commands ask for them and show them."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gatehouse.cli.wishes import past_moment
from gatehouse.db.audit_trail import AuditFilter, AuditRow, detail_of

ACTOR = Annotated[str | None, typer.Option("--actor", help="By one: os-user:alice, key:ID, person:ID.")]
ACTION = Annotated[str | None, typer.Option("--action", help="One action, such as key.create, or all of a noun: key.")]
SUBJECT = Annotated[str | None, typer.Option("--subject", help="To one thing: a tenant's name, a key's id, MODEL/vN.")]
REQUEST = Annotated[str | None, typer.Option("--request", metavar="ID", help="Of one call.")]
SINCE = Annotated[str | None, typer.Option("--since", metavar="WHEN", help="From 7d or 12h ago, or from a moment on.")]
UNTIL = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Up to 1d ago, or to a moment, which is left out.")]


def wanted_rows(
    actor: str | None, action: str | None, subject: str | None, request: str | None, since: str | None, until: str | None
) -> AuditFilter:
    """What the options ask for."""
    first, last = (None if text is None else past_moment(text) for text in (since, until))
    return AuditFilter(actor=actor, action=action, subject=subject, request_id=request, since=first, until=last)


def facts(row: AuditRow) -> dict[str, Any]:
    """One row as JSON."""
    return {
        "id": row.id,
        "sequence": row.sequence,
        "at": None if row.at is None else row.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "actor": row.actor,
        "source": row.source,
        "request_id": row.request_id,
        "action": row.action,
        "subject": row.subject,
        "detail": detail_of(row),
        "key_version": row.key_version,
        "mac": row.mac,
    }


def lines(row: AuditRow) -> Iterator[str]:
    """One row for reading: what was changed stands as `before -> after`."""
    known = facts(row)
    detail = known.pop("detail")
    known["in the chain"] = "from before the chain" if row.sequence is None else f"row {row.sequence}, audit key version {row.key_version}"
    for name in ("id", "at", "actor", "source", "request_id", "action", "subject", "in the chain"):
        if known[name] is not None:
            yield f"{name.replace('_', ' '):<14}{known[name]}"
    before, after = detail.pop("before", None), detail.pop("after", None)
    for name, value in detail.items():
        yield f"{name:<14}{_text(value)}"
    if before is not None or after is not None:
        yield from _changes(_object(before), _object(after))


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        old, new = (_text(side[name]) if name in side else "nothing" for side in (before, after))
        yield f"{name:<14}{old}" + ("" if old == new else f" -> {new}")


def _object(side: Any) -> dict[str, Any]:
    return side if isinstance(side, dict) else {} if side is None else {"all": side}


def _text(value: Any) -> str:
    return json.dumps(value)
