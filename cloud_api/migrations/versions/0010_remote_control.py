"""Remote control."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import UTCDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A room's mode has a time, a reason, and the room time that it takes."""
    op.add_column("room", sa.Column("mode_until", UTCDateTime(), nullable=True))
    op.add_column("room", sa.Column("mode_why", sa.String(), nullable=False, server_default=""))
    op.add_column("room", sa.Column("mode_claim_id", sa.String(), nullable=True))


def downgrade() -> None:
    """Modes are what they were: without a time."""
    op.drop_column("room", "mode_claim_id")
    op.drop_column("room", "mode_why")
    op.drop_column("room", "mode_until")
