"""The audit trail's chain: a number, a code and the key's version in each row, and one row that says where the chain stands."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # plain ALTER TABLE, no copy: on SQLite the triggers against changes stay as they are
    op.add_column("audit", sa.Column("sequence", _BIG, nullable=True))
    op.add_column("audit", sa.Column("request_id", sa.String(length=64), nullable=True))
    op.add_column("audit", sa.Column("key_version", sa.Integer(), nullable=True))
    op.add_column("audit", sa.Column("mac", sa.String(length=64), nullable=True))
    op.create_index("ix_audit_sequence", "audit", ["sequence"], unique=True)
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sequence", _BIG, nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.bulk_insert(head, [{"id": 1, "sequence": 0, "mac": "0" * 64, "changed_at": None}])


def downgrade() -> None:
    op.drop_table("audit_head")
    op.drop_index("ix_audit_sequence", table_name="audit")
    for column in ("mac", "key_version", "request_id", "sequence"):
        op.drop_column("audit", column)
