"""A movement of a balance is found by its cause, in whichever wallet of the merchant it stands."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("wallet_move_key", "wallet_move", ["merchant_id", "key"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("wallet_move_key", "wallet_move")
