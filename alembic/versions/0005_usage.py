"""Usage by day, what refused calls add up to, and seals of days whose events are gone."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SUMS = ("calls", "rows", "bytes_in", "bytes_out", "latency_us")
KEYS = "key_id, model, api_version, status"


def upgrade() -> None:
    op.create_table(
        "usage_day",
        sa.Column("tenant_id", sa.String(40), primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(63), primary_key=True),
        sa.Column("api_version", sa.String(8), primary_key=True),
        sa.Column("status", sa.Integer(), primary_key=True, autoincrement=False),
        *(sa.Column(name, BIG, nullable=False) for name in SUMS),
    )
    columns, sums = ", ".join(SUMS), ", ".join(f"sum({name})" for name in SUMS)
    op.execute(
        f"INSERT INTO usage_day (tenant_id, day, {KEYS}, {columns}) "
        f"SELECT tenant_id, hour / 24, {KEYS}, {sums} FROM usage_summary GROUP BY tenant_id, hour / 24, {KEYS}"
    )
    op.create_table(
        "usage_seal",
        sa.Column("tenant_id", sa.String(40), primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("reason", sa.String(10), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, BIG, nullable=False) for name in SUMS),
    )
    op.create_table(
        "refused_calls",
        sa.Column("tenant_id", sa.String(40), primary_key=True),
        sa.Column("second", BIG, primary_key=True, autoincrement=False),
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("status", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("limit", sa.String(40), primary_key=True),
        sa.Column("calls", BIG, nullable=False),
    )


def downgrade() -> None:
    for table in ("refused_calls", "usage_seal", "usage_day"):
        op.drop_table(table)
