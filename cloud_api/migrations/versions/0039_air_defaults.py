"""What air conditioners are set to when a stay or a cleaning begins, in a store and in a room of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import Json

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing, as before: they stay as they are."""
    for table in ("store", "room"):
        op.add_column(table, sa.Column("air", Json, nullable=True))


def downgrade() -> None:
    """Forget it."""
    for table in ("room", "store"):
        op.drop_column(table, "air")
