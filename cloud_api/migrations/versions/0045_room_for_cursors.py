"""Cursors of journals are written again with each batch: they get room for it, and no index twice."""

from __future__ import annotations

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What stands there finds its room as it moves; which journals a store has, the unique pair knows."""
    op.drop_index("ix_event_cursor_store_id", table_name="event_cursor")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE event_cursor SET (fillfactor = 50)")


def downgrade() -> None:
    """As it was."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE event_cursor RESET (fillfactor)")
    op.create_index("ix_event_cursor_store_id", "event_cursor", ["store_id"])
