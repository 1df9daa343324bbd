"""Limits can be observed first; blocks of a quota are recalled and settled; warnings of a quota are given once."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name in ("requests_mode", "rows_mode"):
        op.add_column("plan", sa.Column(name, sa.String(7), nullable=False, server_default="enforce"))
    op.add_column("quota", sa.Column("warned_percent", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("quota_block", sa.Column("recalled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("quota_block", sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_quota_block_tenant_id", "quota_block", ["tenant_id"])
    op.create_table(
        "observed_refusal",
        sa.Column("tenant_id", sa.String(40), primary_key=True),
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("calls", BIG, nullable=False),
        sa.Column("rows", BIG, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
    )
    # until now what a soft quota let in was counted nowhere but in the events, and a quota that becomes hard must know it
    op.execute(
        "INSERT INTO quota (tenant_id, month, taken) SELECT tenant_id, month, 0 FROM usage_event WHERE rows > 0 "
        "GROUP BY tenant_id, month ON CONFLICT DO NOTHING"
    )
    metered = "(SELECT coalesce(sum(e.rows), 0) FROM usage_event e WHERE e.tenant_id = quota.tenant_id AND e.month = quota.month)"
    op.execute(f"UPDATE quota SET taken = {metered} WHERE taken < {metered}")


def downgrade() -> None:
    op.drop_table("observed_refusal")
    op.drop_index("ix_quota_block_tenant_id", "quota_block")
    op.drop_column("quota_block", "settled_at")
    op.drop_column("quota_block", "recalled")
    op.drop_column("quota", "warned_percent")
    for name in ("rows_mode", "requests_mode"):
        op.drop_column("plan", name)
