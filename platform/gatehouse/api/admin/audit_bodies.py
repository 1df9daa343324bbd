"""What `/admin/audit` takes and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.key_bodies import Closed, Moment
from gatehouse.db.audit_chain import Head
from gatehouse.db.audit_trail import AuditRow, detail_of
from gatehouse.db.audit_verify import Verdict

_WORDS = r"^[^\x00-\x1f\x7f]+$"
HEAD = "^[1-9][0-9]{0,17}:[0-9a-f]{64}$"
Words = Annotated[str, Field(max_length=255, pattern=_WORDS)]


class AuditQuery(PageQuery):
    """Which rows."""

    actor: Annotated[Words | None, Field(description="`os-user:NAME`, `key:ID` or `person:ID`")] = None
    source: Annotated[Words | None, Field(description="`cli`, or an address")] = None
    action: Annotated[
        str | None, Field(max_length=63, pattern="^[a-z][a-z._]*$", description="One action, such as `key.create`, or all of a noun: `key`")
    ] = None
    subject: Words | None = None
    request_id: Words | None = None
    since: Annotated[Moment | None, Field(description="As RFC 3339 with a time zone")] = None
    until: Annotated[Moment | None, Field(description="The first moment that is left out")] = None


class AuditEntry(Closed):
    """A row. `detail` may hold `before` and `after`; `sequence` is its place in the chain, none for rows that are older than that."""

    id: int
    sequence: int | None
    at: datetime | None
    """None where somebody has made it into no moment."""
    actor: str
    source: str
    request_id: str | None
    action: str
    subject: str
    detail: dict[str, Any]
    key_version: int | None
    mac: str | None


class AuditList(Closed):
    """The newest first."""

    items: list[AuditEntry]
    next: str | None


class VerificationQuery(Closed):
    """Heads that servers have logged, as `SEQ:MAC`: removed newest rows are found by them only."""

    head: Annotated[list[Annotated[str, Field(pattern=HEAD)]], Field(max_length=20)] = []

    @property
    def heads(self) -> list[Head]:
        pairs = (text.partition(":") for text in self.head)
        return [Head(int(sequence), mac) for sequence, _, mac in pairs]


class Finding(Closed):
    """What is wrong, in words. `sequence` and `id` name the row where there is one."""

    kind: Literal["changed", "removed", "inserted", "moved", "key", "head"]
    detail: str
    sequence: int | None
    id: int | None


class Verification(Closed):
    """`findings` are the first ones; `further_findings` how many more there are."""

    intact: bool
    rows: int
    old_rows: int
    head: str
    findings: list[Finding]
    further_findings: int


def audit_entry(row: AuditRow) -> AuditEntry:
    """A row by the list of fields."""
    shown = {name: getattr(row, name) for name in AuditEntry.model_fields if name != "detail"}
    for name in ("sequence", "key_version"):  # SQLite holds whatever somebody has put there
        shown[name] = shown[name] if isinstance(shown[name], int) else None
    return AuditEntry(**shown, detail=detail_of(row))


def verification(verdict: Verdict) -> Verification:
    """A verdict by the list of fields."""
    findings = [Finding(kind=each.kind, detail=each.text, sequence=each.sequence, id=each.id) for each in verdict.findings]
    return Verification(
        intact=not findings,
        rows=verdict.rows,
        old_rows=verdict.old_rows,
        head=str(verdict.head),
        findings=findings,
        further_findings=verdict.further,
    )
