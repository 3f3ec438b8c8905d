"""What a store's certificate was before it was renewed: whoever ends the one has to end the other as well."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import UTCDateTime

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns."""
    op.add_column("store_credential", sa.Column("earlier_serial", sa.String(), nullable=True))
    op.add_column("store_credential", sa.Column("earlier_expires_at", UTCDateTime(), nullable=True))


def downgrade() -> None:
    """They go."""
    with op.batch_alter_table("store_credential") as batch:
        batch.drop_column("earlier_expires_at")
        batch.drop_column("earlier_serial")
