"""An endpoint remembers its canary and the version before the stable one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("endpoint", sa.Column("previous_version", sa.String(32), nullable=True))
    op.add_column("endpoint", sa.Column("canary_version", sa.String(32), nullable=True))
    op.add_column("endpoint", sa.Column("canary_percent", sa.Integer(), nullable=True))


def downgrade() -> None:
    for name in ("canary_percent", "canary_version", "previous_version"):
        op.drop_column("endpoint", name)
