"""All SQLModel tables. `table=True` does not validate: whoever writes a row validates before."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Index, Integer, LargeBinary, TypeDecorator, UniqueConstraint
from sqlmodel import Field, SQLModel

METADATA = SQLModel.metadata
METADATA.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC on every database (SQLite drops time zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_BIG = BigInteger().with_variant(Integer(), "sqlite")


def _big(**more: Any) -> Any:
    """A 64-bit count; SQLite needs plain INTEGER to make it a row id."""
    return Column(_BIG, nullable=False, **more)


def _moment(*, nullable: bool = False, index: bool = False) -> Any:
    return Column(UtcDateTime(), nullable=nullable, index=index)


class PlanTable(SQLModel, table=True):
    """A named set of limits."""

    __tablename__ = "plan"
    name: str = Field(primary_key=True, max_length=63)
    requests_count: int
    requests_period_s: int
    requests_burst: int
    rows_count: int
    rows_period_s: int
    rows_burst: int
    rows_per_month: int = Field(sa_column=_big())
    quota_mode: str = Field(max_length=4)
    requests_mode: str = Field(default="enforce", max_length=7)
    rows_mode: str = Field(default="enforce", max_length=7)
    rows_per_call: int
    bytes_per_call: int
    created_at: datetime = Field(sa_column=_moment())


class TenantTable(SQLModel, table=True):
    """A customer organisation."""

    __tablename__ = "tenant"
    id: str = Field(primary_key=True, max_length=40)
    name: str = Field(unique=True, max_length=63)
    plan: str = Field(foreign_key="plan.name", max_length=63, index=True)
    default_model: str | None = Field(default=None, max_length=63)
    suspended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    created_at: datetime = Field(sa_column=_moment())


ALL_VERSIONS = "*"
"""Stands in a grant for every API version."""


class GrantTable(SQLModel, table=True):
    """Tenant may use a model; `api_version` is `*` for all."""

    __tablename__ = "grant"
    tenant_id: str = Field(primary_key=True, foreign_key="tenant.id", max_length=40)
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    created_at: datetime = Field(sa_column=_moment())


class ApiKeyTable(SQLModel, table=True):
    """A long-lived credential; of the secret only a keyed digest is stored."""

    __tablename__ = "api_key"
    id: str = Field(primary_key=True, max_length=32)
    tenant_id: str = Field(foreign_key="tenant.id", max_length=40, index=True)
    name: str = Field(max_length=63)
    scopes: str = Field(max_length=255)
    """Scopes in alphabetical order, one space between them."""
    digest: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    """HMAC-SHA256 of the whole key under the pepper of `pepper_version`."""
    pepper_version: int
    requests_count: int | None = None
    requests_period_s: int | None = None
    requests_burst: int | None = None
    rows_count: int | None = None
    rows_period_s: int | None = None
    rows_burst: int | None = None
    created_at: datetime = Field(sa_column=_moment(index=True))
    expires_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    networks: str | None = Field(default=None, max_length=1023)
    """CIDR networks from which the key may be used, one space between them; anywhere unless given."""
    previous_digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32), nullable=True))
    """Of the secret before the last rotation, good until `grace_ends_at`."""
    previous_pepper_version: int | None = None
    previous_since: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """When that secret was made, where a rotation had made it."""
    rotated_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    grace_ends_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """Written behind, at most once a minute."""


class TokenKeyTable(SQLModel, table=True):
    """A key pair that signs access tokens; the private part is encrypted under GATEHOUSE_SECRET_KEY."""

    __tablename__ = "token_key"
    kid: str = Field(primary_key=True, max_length=32)
    public_pem: str
    private_sealed: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))
    created_at: datetime = Field(sa_column=_moment())
    retired_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    signs_from: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """When it takes over; it is published before, so that nobody meets a token of a key that they do not know."""


class RevokedTokenTable(SQLModel, table=True):
    """An access token that was stopped before its end; kept until then."""

    __tablename__ = "revoked_token"
    jti: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(max_length=32)
    expires_at: datetime = Field(sa_column=_moment(index=True))
    revoked_at: datetime = Field(sa_column=_moment())


class PersonTable(SQLModel, table=True):
    """Somebody who logs in with a password."""

    __tablename__ = "person"
    id: str = Field(primary_key=True, max_length=40)
    name: str = Field(unique=True, max_length=127)
    """What is sent to log in: NAME of the deployment's own people, NAME@TENANT of a tenant's."""
    role: str = Field(max_length=15)
    tenant_id: str = Field(foreign_key="tenant.id", max_length=40, index=True)
    password_hash: str | None = Field(default=None, max_length=255)
    """Argon2id; none until an invitation is accepted."""
    code_digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32), nullable=True, unique=True))
    """HMAC-SHA256 of the one-time code that sets a password, under the pepper of `code_pepper_version`."""
    code_pepper_version: int | None = None
    code_expires_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    created_at: datetime = Field(sa_column=_moment())
    suspended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    password_set_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    tokens_from: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """Tokens got before it have ended: by a new password, a suspension or another role."""
    last_login_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))


class ProcessTable(SQLModel, table=True):
    """One serving process."""

    __tablename__ = "process"
    id: str = Field(primary_key=True, max_length=40)
    host: str = Field(max_length=255)
    pid: int
    started_at: datetime = Field(sa_column=_moment())
    last_seen_at: datetime = Field(sa_column=_moment())
    revision_seen: int = Field(sa_column=_big())
    """The last change that it has taken in."""
    standing: str | None = None
    """What it says of itself, as JSON."""


class RecentCallsTable(SQLModel, table=True):
    """Calls that ended within one quarter of a minute, as each process counted them; kept for ten minutes."""

    __tablename__ = "recent_calls"
    slot: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """Quarters of a minute since 1970."""
    process_id: str = Field(primary_key=True, max_length=40)
    model: str = Field(primary_key=True, max_length=63)
    """'' where a call reached no endpoint of its caller's; so is `api_version`."""
    api_version: str = Field(primary_key=True, max_length=8)
    status: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    code: str = Field(primary_key=True, max_length=40)
    """Of the error; '' for an answer."""
    calls: int = Field(sa_column=_big())
    rows: int = Field(sa_column=_big())


class EndpointTable(SQLModel, table=True):
    """Model + API version: where it stands in its life and which model version serves it."""

    __tablename__ = "endpoint"
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    state: str = Field(max_length=10)
    stable_version: str = Field(max_length=32)
    previous_version: str | None = Field(default=None, max_length=32)
    """What a rollback goes back to."""
    canary_version: str | None = Field(default=None, max_length=32)
    canary_percent: int | None = None
    """Share of the keys that the canary answers."""
    deprecated_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    sunset: date | None = None
    """The last day (UTC) on which a deprecated endpoint answers."""
    successor: str | None = Field(default=None, max_length=8)
    deprecation_reason: str | None = Field(default=None, max_length=200)
    deprecation_link: str | None = Field(default=None, max_length=500)
    retired_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    bridged_to: str | None = Field(default=None, max_length=8)
    """The later API version whose model answers its calls, through the upgrade rules."""
    shadow_with: str | None = Field(default=None, max_length=32)
    """A later API version or another version of its own major, which scores its calls too; its answers are only compared."""
    shadow_percent: int | None = None
    """Share of the calls that are shadowed."""
    created_at: datetime = Field(sa_column=_moment())
    changed_at: datetime = Field(sa_column=_moment())


class EndpointExtensionTable(SQLModel, table=True):
    """One tenant may call a deprecated endpoint past its sunset."""

    __tablename__ = "endpoint_extension"
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    tenant_id: str = Field(primary_key=True, foreign_key="tenant.id", max_length=40)
    until: date
    """Its last day (UTC)."""
    created_at: datetime = Field(sa_column=_moment())


class BrownoutTable(SQLModel, table=True):
    """A window in which a deprecated endpoint answers 410, so that callers who have not moved find out early."""

    __tablename__ = "brownout"
    __table_args__ = (Index("ix_brownout_endpoint", "model", "api_version"),)
    id: str = Field(primary_key=True, max_length=40)
    model: str = Field(max_length=63)
    api_version: str = Field(max_length=8)
    tenant_id: str | None = Field(default=None, foreign_key="tenant.id", max_length=40)
    """None: all tenants."""
    key_id: str | None = Field(default=None, max_length=32)
    """Of a rehearsal, which touches one key alone."""
    starts_at: datetime = Field(sa_column=_moment())
    ends_at: datetime = Field(sa_column=_moment())
    percent: int
    """Share of the calls that are refused."""
    created_at: datetime = Field(sa_column=_moment())


class ShadowDayTable(SQLModel, table=True):
    """What shadows of a tenant's calls came to on one day; sums that processes add to."""

    __tablename__ = "shadow_day"
    __table_args__ = (Index("ix_shadow_day_endpoint", "model", "api_version", "day"),)
    tenant_id: str = Field(primary_key=True, max_length=40)
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    """Of the endpoint that was called."""
    other_version: str = Field(primary_key=True, max_length=32)
    """Model version that scored the calls too."""
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """Days since 1970 (UTC)."""
    calls: int = Field(sa_column=_big())
    """That were to be shadowed: the sum of dropped, failed and compared ones."""
    dropped: int = Field(sa_column=_big())
    """Calls beyond the budget."""
    failed: int = Field(sa_column=_big())
    """Calls on which the other model raised, took too long or answered what is no answer."""
    rows: int = Field(sa_column=_big())
    """Rows of the other calls: the sum of those compared and those not upgraded."""
    not_upgraded: int = Field(sa_column=_big())
    """Rows that the rules could not upgrade."""
    disagreed: int = Field(sa_column=_big())
    """Compared rows whose labels differ (values: by more than the contract's decimals show)."""
    shift_sum: float
    """Sum of the other answer's confidence (or value) less the live one's, over the compared rows."""


class ShadowShiftTable(SQLModel, table=True):
    """How far answers moved: compared rows by bucket of the shift."""

    __tablename__ = "shadow_shift"
    __table_args__ = (Index("ix_shadow_shift_endpoint", "model", "api_version", "day"),)
    tenant_id: str = Field(primary_key=True, max_length=40)
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    other_version: str = Field(primary_key=True, max_length=32)
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    bucket: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    rows: int = Field(sa_column=_big())


class UpgradeFailureTable(SQLModel, table=True):
    """Rows of a tenant's calls that could not be upgraded, by field and reason; never what the field held."""

    __tablename__ = "upgrade_failure"
    __table_args__ = (Index("ix_upgrade_failure_endpoint", "model", "api_version", "day"),)
    tenant_id: str = Field(primary_key=True, max_length=40)
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    other_version: str = Field(primary_key=True, max_length=32)
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    field: str = Field(primary_key=True, max_length=255)
    """Of the older contract; several with a comma between, where a rule reads several."""
    code: str = Field(primary_key=True, max_length=40)
    """Of the error, as in an answer with 422."""
    rows: int = Field(sa_column=_big())


class RevisionTable(SQLModel, table=True):
    """One row: the number of the last change. Its row lock puts changes in the order in which they commit."""

    __tablename__ = "revision"
    id: int = Field(primary_key=True)
    value: int = Field(sa_column=_big())


class ChangeTable(SQLModel, table=True):
    """What changed at which revision; running processes poll it."""

    __tablename__ = "change"
    revision: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    kind: str = Field(max_length=16)
    id: str = Field(max_length=127)
    at: datetime = Field(sa_column=_moment())


class AuditTable(SQLModel, table=True):
    """Who changed what, when, from where. Append-only: triggers refuse UPDATE and DELETE, and each row is linked to the one before."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_sequence", "sequence", unique=True),)
    id: int | None = Field(default=None, sa_column=_big(primary_key=True, autoincrement=True))
    sequence: int | None = Field(default=None, sa_column=Column(_BIG, nullable=True))
    """Place in the chain, from 1; None for rows that are older than the chain."""
    at: datetime = Field(sa_column=_moment(index=True))
    actor: str = Field(max_length=127)
    source: str = Field(max_length=63)
    request_id: str | None = Field(default=None, max_length=64)
    """Of the call that made the change."""
    action: str = Field(max_length=63)
    subject: str = Field(max_length=255, index=True)
    detail: str
    """A JSON object; never a secret."""
    key_version: int | None = None
    """Of the audit key that `mac` is made with."""
    mac: str | None = Field(default=None, max_length=64)
    """HMAC-SHA256 of the row and the `mac` of the row before, in hexadecimal."""


class AuditHeadTable(SQLModel, table=True):
    """One row: the newest row of the audit trail. Its lock puts writers into one order."""

    __tablename__ = "audit_head"
    id: int = Field(primary_key=True)
    sequence: int = Field(sa_column=_big())
    mac: str = Field(max_length=64)
    changed_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))


class SpoolSegmentTable(SQLModel, table=True):
    """How far one spool file has been taken into the database."""

    __tablename__ = "spool_segment"
    id: str = Field(primary_key=True, max_length=80)
    taken_bytes: int = Field(sa_column=_big())
    changed_at: datetime = Field(sa_column=_moment())


class UsageEventTable(SQLModel, table=True):
    """One call of a principal on a prediction path. Immutable."""

    __tablename__ = "usage_event"
    __table_args__ = (
        Index("ix_usage_event_tenant_at", "tenant_id", "at_us"),
        Index("ix_usage_event_process", "process_id", "tenant_id", "month"),
    )
    id: str = Field(primary_key=True, max_length=36)
    at_us: int = Field(sa_column=_big())
    """Microseconds since 1970 (UTC)."""
    month: str = Field(max_length=7)
    """`YYYY-MM` (UTC) of `at_us`: the quota month."""
    process_id: str = Field(max_length=40)
    tenant_id: str = Field(max_length=40)
    key_id: str = Field(max_length=32)
    model: str | None = Field(default=None, max_length=63)
    api_version: str | None = Field(default=None, max_length=8)
    model_version: str | None = Field(default=None, max_length=32)
    engine: str | None = Field(default=None, max_length=16)
    rows: int
    """Metered rows: answered ones, else 0."""
    status: int
    code: str | None = Field(default=None, max_length=40)
    latency_us: int = Field(sa_column=_big())
    bytes_in: int = Field(sa_column=_big())
    bytes_out: int = Field(sa_column=_big())
    request_id: str = Field(max_length=64)


class UsageSummaryTable(SQLModel, table=True):
    """Calls and rows of one hour, kept as events come in; '' stands where an event has no model."""

    __tablename__ = "usage_summary"
    tenant_id: str = Field(primary_key=True, max_length=40)
    hour: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """Hours since 1970 (UTC)."""
    key_id: str = Field(primary_key=True, max_length=32)
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    status: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    calls: int = Field(sa_column=_big())
    rows: int = Field(sa_column=_big())
    bytes_in: int = Field(sa_column=_big())
    bytes_out: int = Field(sa_column=_big())
    latency_us: int = Field(sa_column=_big())


class UsageDayTable(SQLModel, table=True):
    """The same of one day, kept in the same transactions."""

    __tablename__ = "usage_day"
    tenant_id: str = Field(primary_key=True, max_length=40)
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """Days since 1970 (UTC)."""
    key_id: str = Field(primary_key=True, max_length=32)
    model: str = Field(primary_key=True, max_length=63)
    api_version: str = Field(primary_key=True, max_length=8)
    status: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    calls: int = Field(sa_column=_big())
    rows: int = Field(sa_column=_big())
    bytes_in: int = Field(sa_column=_big())
    bytes_out: int = Field(sa_column=_big())
    latency_us: int = Field(sa_column=_big())


class UsageSealTable(SQLModel, table=True):
    """A tenant's day whose events may be gone: what its summaries must still add up to."""

    __tablename__ = "usage_seal"
    tenant_id: str = Field(primary_key=True, max_length=40)
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    reason: str = Field(max_length=10)
    """`retention` or `erasure`."""
    sealed_at: datetime = Field(sa_column=_moment())
    calls: int = Field(sa_column=_big())
    rows: int = Field(sa_column=_big())
    bytes_in: int = Field(sa_column=_big())
    bytes_out: int = Field(sa_column=_big())
    latency_us: int = Field(sa_column=_big())


class RefusedCallsTable(SQLModel, table=True):
    """Calls of one second that were counted instead of written down one by one."""

    __tablename__ = "refused_calls"
    tenant_id: str = Field(primary_key=True, max_length=40)
    second: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    """Seconds since 1970 (UTC)."""
    key_id: str = Field(primary_key=True, max_length=32)
    status: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    limit: str = Field(primary_key=True, max_length=40)
    """Which limit refused: `tenant-requests`, `quota_exhausted`, …; the error's code where there is no limit."""
    calls: int = Field(sa_column=_big())


class QuotaTable(SQLModel, table=True):
    """Rows of a tenant's month that processes have taken ahead or answered."""

    __tablename__ = "quota"
    tenant_id: str = Field(primary_key=True, max_length=40)
    month: str = Field(primary_key=True, max_length=7)
    taken: int = Field(sa_column=_big())
    warned_percent: int = 0
    """The highest share of the quota that has been warned of."""


class QuotaBlockTable(SQLModel, table=True):
    """Rows that one process has taken ahead for a tenant's month, so that what a dead process left can be given back."""

    __tablename__ = "quota_block"
    process_id: str = Field(primary_key=True, max_length=40)
    tenant_id: str = Field(primary_key=True, max_length=40, index=True)
    month: str = Field(primary_key=True, max_length=7)
    rows: int = Field(sa_column=_big())
    """Taken ahead and not returned: answered ones stay in it."""
    expires_at: datetime = Field(sa_column=_moment())
    """From then on others may settle it: its owner has stopped using it long before."""
    recalled: bool = False
    """Another process needs what its owner does not."""
    settled_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """When others found its owner gone and left in it only what its owner had metered by then."""


class ObservedRefusalTable(SQLModel, table=True):
    """What limits in observe mode, and a soft quota, would have refused."""

    __tablename__ = "observed_refusal"
    tenant_id: str = Field(primary_key=True, max_length=40)
    month: str = Field(primary_key=True, max_length=7)
    name: str = Field(primary_key=True, max_length=32)
    """Of the limit: `tenant-requests`, …, `tenant-month`."""
    calls: int = Field(sa_column=_big())
    rows: int = Field(sa_column=_big())
    last_at: datetime = Field(sa_column=_moment())


class IdempotencyClaimTable(SQLModel, table=True):
    """An Idempotency-Key that came within a day: which call was its first, and which model version scores its repeats. No answer."""

    __tablename__ = "idempotency_claim"
    key_digest: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    """HMAC-SHA256 of tenant, endpoint and key."""
    body_digest: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    tenant_id: str = Field(max_length=40)
    endpoint: str = Field(max_length=72)
    """`MODEL/vN`."""
    model_version: str = Field(max_length=32)
    event_id: str = Field(max_length=36)
    """Of the usage event that the call becomes once it is answered, whoever answers it."""
    process_id: str | None = Field(default=None, max_length=40)
    """Who has the call under way, or had; nobody where its second try has failed."""
    claimed_at: datetime = Field(sa_column=_moment(index=True))


class NoticeTargetTable(SQLModel, table=True):
    """Where a tenant is told, and how it is with that address."""

    __tablename__ = "notice_target"
    tenant_id: str = Field(primary_key=True, foreign_key="tenant.id", max_length=40)
    url: str = Field(max_length=1023)
    secret_sealed: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))
    """Encrypted under GATEHOUSE_SECRET_KEY; so is the one before."""
    previous_sealed: bytes | None = Field(default=None, sa_column=Column(LargeBinary(), nullable=True))
    previous_until: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """So long each notice is signed by both."""
    created_at: datetime = Field(sa_column=_moment())
    failing_since: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """Since a notice was given up here, or the target said that it is gone; None once one arrives."""
    failing_reason: str | None = Field(default=None, max_length=255)
    gone: bool = False
    """It answered 410: nothing is sent until an operator changes it."""
    lease: str | None = Field(default=None, max_length=32)
    """Of the process that has a delivery under way, until `lease_ends_at`; one at a time for each target."""
    lease_ends_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))


class NoticeTable(SQLModel, table=True):
    """What a tenant is told by webhook, once for each event and threshold."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "event", "threshold", name="uq_notice_once"),)
    id: str = Field(primary_key=True, max_length=40)
    tenant_id: str = Field(max_length=40)
    kind: str = Field(max_length=40)
    event: str = Field(max_length=127)
    threshold: str = Field(max_length=40)
    body: str
    """JSON, as it is signed and sent each time."""
    created_at: datetime = Field(sa_column=_moment())
    due_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True, index=True))
    """When it is sent next; None when nothing is to be done."""
    started_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """Of the first attempt, or the first since a replay."""
    attempts: int = 0
    last_attempt_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    last_outcome: str | None = Field(default=None, max_length=255)
    delivered_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    gave_up_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
