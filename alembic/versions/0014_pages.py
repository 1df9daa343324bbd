"""The index by which the list of keys comes page by page."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_api_key_created_at", "api_key", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_api_key_created_at", "api_key")
