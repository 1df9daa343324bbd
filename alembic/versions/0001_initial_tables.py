"""The tables of the first version, its built-in plans, and an audit table that only grows."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MIB = 1024 * 1024
# name, requests per s, burst, rows per s, burst, rows per month, quota, rows per call, bytes per call
PLANS = (
    ("trial", 5, 20, 1_000, 1_000, 10_000, "hard", 1_000, MIB),
    ("standard", 50, 200, 100_000, 100_000, 1_000_000, "soft", 100_000, 64 * MIB),
)

SQLITE_TRIGGER = """
CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END
"""
POSTGRESQL_FUNCTION = """
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit rows are never changed'; END $$
"""
POSTGRESQL_TRIGGER = """
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()
"""


def upgrade() -> None:
    create_identity_tables()
    create_endpoint_table()
    create_change_tables()
    create_usage_tables()
    create_quota_tables()
    add_first_rows()
    guard_audit()


def downgrade() -> None:
    for table in (
        *("quota_block", "quota", "usage_summary", "usage_event", "spool_segment", "audit", "change", "revision"),
        *("endpoint", "token_key", "api_key", "grant", "tenant", "plan"),
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_refuse_change()")


def text(name: str, length: int | None, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), **{"nullable": False, **more})


def whole(name: str, **more: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), **{"nullable": False, **more})


def big(name: str, **more: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, **more)


def moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def create_identity_tables() -> None:
    op.create_table(
        "plan",
        text("name", 63),
        *(whole(f"{kind}_{part}") for kind in ("requests", "rows") for part in ("count", "period_s", "burst")),
        big("rows_per_month"),
        text("quota_mode", 4),
        whole("rows_per_call"),
        whole("bytes_per_call"),
        moment("created_at"),
        key("plan", "name"),
    )
    op.create_table(
        "tenant",
        text("id", 40),
        text("name", 63),
        text("plan", 63),
        text("default_model", 63, nullable=True),
        moment("suspended_at", nullable=True),
        moment("created_at"),
        key("tenant", "id"),
        sa.UniqueConstraint("name", name="uq_tenant_name"),
        sa.ForeignKeyConstraint(["plan"], ["plan.name"], name="fk_tenant_plan"),
    )
    op.create_index("ix_tenant_plan", "tenant", ["plan"])
    op.create_table(
        "grant",
        text("tenant_id", 40),
        text("model", 63),
        text("api_version", 8),
        moment("created_at"),
        key("grant", "tenant_id", "model", "api_version"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_grant_tenant_id"),
    )
    op.create_table(
        "api_key",
        text("id", 32),
        text("tenant_id", 40),
        text("name", 63),
        text("scopes", 255),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        whole("pepper_version"),
        *(whole(f"{kind}_{part}", nullable=True) for kind in ("requests", "rows") for part in ("count", "period_s", "burst")),
        moment("created_at"),
        moment("expires_at", nullable=True),
        moment("revoked_at", nullable=True),
        key("api_key", "id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_api_key_tenant_id"),
    )
    op.create_index("ix_api_key_tenant_id", "api_key", ["tenant_id"])
    op.create_table(
        "token_key",
        text("kid", 32),
        text("public_pem", None),
        sa.Column("private_sealed", sa.LargeBinary(), nullable=False),
        moment("created_at"),
        moment("retired_at", nullable=True),
        key("token_key", "kid"),
    )


def create_endpoint_table() -> None:
    op.create_table(
        "endpoint",
        text("model", 63),
        text("api_version", 8),
        text("state", 10),
        text("stable_version", 32),
        moment("created_at"),
        moment("changed_at"),
        key("endpoint", "model", "api_version"),
    )


def create_change_tables() -> None:
    op.create_table("revision", whole("id"), big("value"), key("revision", "id"))
    op.create_table(
        "change", big("revision", autoincrement=False), text("kind", 16), text("id", 127), moment("at"), key("change", "revision")
    )
    op.create_table(
        "audit",
        big("id", autoincrement=True),
        moment("at"),
        text("actor", 127),
        text("source", 63),
        text("action", 63),
        text("subject", 255),
        text("detail", None),
        key("audit", "id"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_subject", "audit", ["subject"])


def create_usage_tables() -> None:
    op.create_table("spool_segment", text("id", 80), big("taken_bytes"), moment("changed_at"), key("spool_segment", "id"))
    op.create_table(
        "usage_event",
        text("id", 36),
        big("at_us"),
        text("month", 7),
        text("process_id", 40),
        text("tenant_id", 40),
        text("key_id", 32),
        text("model", 63, nullable=True),
        text("api_version", 8, nullable=True),
        text("model_version", 32, nullable=True),
        text("engine", 16, nullable=True),
        whole("rows"),
        whole("status"),
        text("code", 40, nullable=True),
        big("latency_us"),
        big("bytes_in"),
        big("bytes_out"),
        text("request_id", 64),
        key("usage_event", "id"),
    )
    op.create_index("ix_usage_event_tenant_at", "usage_event", ["tenant_id", "at_us"])
    op.create_index("ix_usage_event_process", "usage_event", ["process_id", "tenant_id", "month"])
    op.create_table(
        "usage_summary",
        text("tenant_id", 40),
        whole("hour", autoincrement=False),
        text("key_id", 32),
        text("model", 63),
        text("api_version", 8),
        whole("status", autoincrement=False),
        *(big(name) for name in ("calls", "rows", "bytes_in", "bytes_out", "latency_us")),
        key("usage_summary", "tenant_id", "hour", "key_id", "model", "api_version", "status"),
    )


def create_quota_tables() -> None:
    op.create_table("quota", text("tenant_id", 40), text("month", 7), big("taken"), key("quota", "tenant_id", "month"))
    op.create_table(
        "quota_block",
        text("process_id", 40),
        text("tenant_id", 40),
        text("month", 7),
        big("rows"),
        moment("expires_at"),
        key("quota_block", "process_id", "tenant_id", "month"),
    )


def add_first_rows() -> None:
    tables = sa.MetaData()
    tables.reflect(op.get_bind(), only=["revision", "plan"])
    op.bulk_insert(tables.tables["revision"], [{"id": 1, "value": 0}])
    columns = ("name", "requests_count", "requests_burst", "rows_count", "rows_burst", "rows_per_month")
    columns += ("quota_mode", "rows_per_call", "bytes_per_call")
    same = {"requests_period_s": 1, "rows_period_s": 1, "created_at": datetime.now(UTC)}
    op.bulk_insert(tables.tables["plan"], [dict(zip(columns, plan, strict=True)) | same for plan in PLANS])


def guard_audit() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRESQL_FUNCTION)
        op.execute(POSTGRESQL_TRIGGER)
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(SQLITE_TRIGGER.format(verb=verb))
