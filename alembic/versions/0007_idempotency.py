"""Claims of Idempotency-Keys."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_claim",
        sa.Column("key_digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("body_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("endpoint", sa.String(72), nullable=False),
        sa.Column("model_version", sa.String(32), nullable=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("process_id", sa.String(40), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_idempotency_claim_claimed_at", "idempotency_claim", ["claimed_at"])


def downgrade() -> None:
    op.drop_table("idempotency_claim")
