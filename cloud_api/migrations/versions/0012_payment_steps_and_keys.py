"""Payment steps, payers and providers' keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import Json, UTCDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What a payer's page does next, who pays where that must be known, and public keys by serial."""
    op.add_column("provider_account", sa.Column("keys", Json, nullable=False, server_default="{}"))
    op.add_column("provider_account", sa.Column("keys_at", UTCDateTime(), nullable=True))
    op.add_column("payment_attempt", sa.Column("step", Json, nullable=True))
    op.add_column("payment_attempt", sa.Column("payer", sa.Text(), nullable=True))
    op.add_column("payment_attempt", sa.Column("paid_at", UTCDateTime(), nullable=True))
    op.add_column(
        "refund_attempt", sa.Column("origin", sa.String(), nullable=False, server_default="ours")
    )


def downgrade() -> None:
    """Back before it."""
    op.drop_column("refund_attempt", "origin")
    for name in ("paid_at", "payer", "step"):
        op.drop_column("payment_attempt", name)
    for name in ("keys_at", "keys"):
        op.drop_column("provider_account", name)
