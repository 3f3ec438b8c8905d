"""Claims of a room by their end."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What lies ahead of a room is found without reading what lies behind."""
    op.create_index("ix_room_claim_ahead", "room_claim", ["room_id", "block_until"])


def downgrade() -> None:
    """Without it."""
    op.drop_index("ix_room_claim_ahead", "room_claim")
