"""Bridges, shadows and brownouts of endpoints, and what shadows came to."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("endpoint") as endpoint:
        endpoint.add_column(sa.Column("bridged_to", sa.String(length=8), nullable=True))
        endpoint.add_column(sa.Column("shadow_with", sa.String(length=32), nullable=True))
        endpoint.add_column(sa.Column("shadow_percent", sa.Integer(), nullable=True))
    op.create_table(
        "brownout",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("api_version", sa.String(length=8), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=True),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_brownout_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brownout")),
    )
    op.create_index("ix_brownout_endpoint", "brownout", ["model", "api_version"])
    _of_a_day(
        "shadow_day",
        [],
        sa.Column("calls", _BIG, nullable=False),
        sa.Column("dropped", _BIG, nullable=False),
        sa.Column("failed", _BIG, nullable=False),
        sa.Column("rows", _BIG, nullable=False),
        sa.Column("not_upgraded", _BIG, nullable=False),
        sa.Column("disagreed", _BIG, nullable=False),
        sa.Column("shift_sum", sa.Float(), nullable=False),
    )
    _of_a_day(
        "shadow_shift", [sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False)], sa.Column("rows", _BIG, nullable=False)
    )
    field, code = sa.Column("field", sa.String(length=255), nullable=False), sa.Column("code", sa.String(length=40), nullable=False)
    _of_a_day("upgrade_failure", [field, code], sa.Column("rows", _BIG, nullable=False))


def _of_a_day(table: str, further: list[sa.Column], *sums: sa.Column) -> None:
    keys = [
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("api_version", sa.String(length=8), nullable=False),
        sa.Column("other_version", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        *further,
    ]
    names = [column.name for column in keys]
    op.create_table(table, *keys, *sums, sa.PrimaryKeyConstraint(*names, name=op.f(f"pk_{table}")))
    op.create_index(f"ix_{table}_endpoint", table, ["model", "api_version", "day"])


def downgrade() -> None:
    for table in ("upgrade_failure", "shadow_shift", "shadow_day", "brownout"):
        op.drop_table(table)
    with op.batch_alter_table("endpoint") as endpoint:
        for column in ("shadow_percent", "shadow_with", "bridged_to"):
            endpoint.drop_column(column)
