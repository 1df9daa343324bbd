"""How endpoints end: deprecation, sunset, successor, and the tenants that were given longer."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("endpoint", sa.Column("deprecated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("endpoint", sa.Column("sunset", sa.Date(), nullable=True))
    op.add_column("endpoint", sa.Column("successor", sa.String(length=8), nullable=True))
    op.add_column("endpoint", sa.Column("deprecation_reason", sa.String(length=200), nullable=True))
    op.add_column("endpoint", sa.Column("deprecation_link", sa.String(length=500), nullable=True))
    op.add_column("endpoint", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "endpoint_extension",
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("api_version", sa.String(length=8), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_endpoint_extension_tenant_id")),
        sa.PrimaryKeyConstraint("model", "api_version", "tenant_id", name=op.f("pk_endpoint_extension")),
    )


def downgrade() -> None:
    op.drop_table("endpoint_extension")
    for column in ("retired_at", "deprecation_link", "deprecation_reason", "successor", "sunset", "deprecated_at"):
        op.drop_column("endpoint", column)
