"""What processes say of themselves, and the calls of the last minutes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("process", sa.Column("standing", sa.String(), nullable=True))
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "recent_calls",
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("process_id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("api_version", sa.String(length=8), nullable=False),
        sa.Column("status", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("calls", big, nullable=False),
        sa.Column("rows", big, nullable=False),
        sa.PrimaryKeyConstraint("slot", "process_id", "model", "api_version", "status", "code", name=op.f("pk_recent_calls")),
    )


def downgrade() -> None:
    op.drop_table("recent_calls")
    op.drop_column("process", "standing")
