"""Keys can be rotated, bound to networks and seen in use; tokens can be revoked; token keys overlap; serving processes are known."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY_COLUMNS = {
    "networks": sa.String(1023),
    "previous_digest": sa.LargeBinary(32),
    "previous_pepper_version": sa.Integer(),
    "rotated_at": sa.DateTime(timezone=True),
    "grace_ends_at": sa.DateTime(timezone=True),
    "last_used_at": sa.DateTime(timezone=True),
}


def upgrade() -> None:
    for name, kind in KEY_COLUMNS.items():
        op.add_column("api_key", sa.Column(name, kind, nullable=True))
    op.add_column("token_key", sa.Column("signs_from", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "revoked_token",
        sa.Column("jti", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "process",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision_seen", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("process")
    op.drop_table("revoked_token")
    op.drop_column("token_key", "signs_from")
    for name in reversed(KEY_COLUMNS):
        op.drop_column("api_key", name)
